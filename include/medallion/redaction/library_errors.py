"""
Failures of libraries, told without the data that their messages quote.

A driver repeats rows, an HTTP library repeats URLs with their key; a task's log
keeps what an exception says. So what is quoted is taken out, and the traceback
(places in code, no values) stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from include.medallion.errors import MedallionError, Unforeseen
from include.medallion.redaction.events import error_codes
from include.medallion.redaction.patterns import REDACTED, redact_patterns

_LONGEST = 500
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|=\s*\([^)]*\)|(?<=[?&])[\w-]+=[^\s&]+")


@contextmanager
def redact_library_errors() -> Iterator[None]:
    """
    Let our own exceptions through; raise any other as `Unforeseen`, with its type, codes and unquoted words.

    Raises:
        Unforeseen: instead of a library's exception.
    """
    try:
        yield
    except MedallionError:
        raise
    except Exception as e:  # noqa: BLE001 (any library may fail in any way)
        raise Unforeseen(describe_library_error(e)).with_traceback(e.__traceback__) from None


def describe_library_error(error: Exception) -> str:
    """Return what may be said of a foreign exception where only our own people read it."""
    words = redact_patterns(_QUOTED.sub(REDACTED, " ".join(str(error).split())))[:_LONGEST]
    return f"{type(error).__module__}.{type(error).__qualname__}: {words} ({error_codes(error)})"
