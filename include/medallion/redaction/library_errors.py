"""
Re-raise errors of third-party libraries without the data in their messages.

A database driver quotes rows, an HTTP library quotes URLs with their key, and a
task's log stores the message of an exception. Quoted text is removed; the
traceback (places in code, no values) is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from include.medallion.errors import MedallionError, Unforeseen
from include.medallion.redaction.events import error_codes
from include.medallion.redaction.patterns import REDACTED, redact_patterns

_MAX_CHARACTERS = 500
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|=\s*\([^)]*\)|(?<=[?&])[\w-]+=[^\s&]+")


@contextmanager
def redact_library_errors() -> Iterator[None]:
    """
    Re-raise any exception of the block except our own as `Unforeseen`.

    Raises:
        Unforeseen: instead of a library's exception; the message has its type, codes and unquoted words.
    """
    try:
        yield
    except MedallionError:
        raise
    except Exception as e:  # noqa: BLE001 (any library may fail in any way)
        raise Unforeseen(describe_library_error(e)).with_traceback(e.__traceback__) from None


def describe_library_error(error: Exception) -> str:
    """Describe a library's exception for the task's log: type, unquoted words of the message, and codes."""
    words = redact_patterns(_QUOTED.sub(REDACTED, " ".join(str(error).split())))[:_MAX_CHARACTERS]
    return f"{type(error).__module__}.{type(error).__qualname__}: {words} ({error_codes(error)})"
