"""Parse a printed traceback into what may be reported: types and places in code, without source lines."""

from __future__ import annotations

import re
from typing import Any

from include.medallion import errors
from include.medallion.redaction.events import WITHHELD
from include.medallion.redaction.patterns import redact_patterns

_NEXT = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)
_FRAME = re.compile(r'^ +File "(?P<filename>[^"\n]+)", line (?P<lineno>\d+)(?:, in (?P<function>.+))?$', re.MULTILINE)
_RAISED = re.compile(r"^(?P<name>[^\s:][^:\n]*)(?:: (?P<message>.*))?\Z", re.MULTILINE | re.DOTALL)
_TYPE = re.compile(r"[A-Za-z_][\w.]{0,199}")


def parse_traceback(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """
    Parse a printed traceback.

    Returns:
        The `exception` of a Sentry event, and the text to show by qualified type: the message for our own exceptions,
        a placeholder for others, as in `events.safe_messages`.
    """
    values, safe = [], {}
    for block in _NEXT.split(text.strip()):
        value, qualified, message = _block(block)
        values.append(value)
        safe[qualified] = message
    return {"values": values}, safe


def _block(block: str) -> tuple[dict[str, Any], str, str]:
    places = list(_FRAME.finditer(block))
    # the exception is in the first unindented line after the last place (source lines are indented)
    raised = _RAISED.search(block, places[-1].end() + 1 if places else 0)
    # without a traceback, there is only a message, whose first word is not a type
    qualified = raised["name"] if raised and _TYPE.fullmatch(raised["name"]) else "ImportError"
    module, _, name = qualified.rpartition(".")
    frames = [{**place.groupdict(), "lineno": int(place["lineno"])} for place in places]
    value = {"type": name, "module": module or None, "stacktrace": {"frames": frames}}
    message = (raised["message"] if raised else None) or ""
    return value, qualified, redact_patterns(message) if _ours(module, name) else WITHHELD


def _ours(module: str, name: str) -> bool:
    return module == errors.__name__ and hasattr(errors, name)
