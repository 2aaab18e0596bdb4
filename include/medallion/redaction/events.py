"""
Redact a Sentry event before it leaves the deployment.

An event is rebuilt from the fields that are known to be harmless; all others
(local variables, source lines, breadcrumbs, request, user, ...) are dropped.
The messages of our own exceptions are kept, because they hold no data by
contract (`errors.py`). Messages of libraries are dropped, since a driver quotes
rows and an HTTP library quotes URLs with their key; only codes are kept.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from include.medallion.errors import MedallionError
from include.medallion.redaction.patterns import redact_patterns

WITHHELD = "message withheld, it may hold data: see the task's log"

_MAX_CHARACTERS = 2000
_FIELDS = ("event_id", "timestamp", "platform", "level", "sdk", "fingerprint")
_TEXT_FIELDS = ("message", "release", "environment")
_FRAME_FIELDS = ("filename", "abs_path", "function", "module", "lineno", "in_app")
_LINK_FIELDS = ("type", "handled", "source", "exception_id", "parent_id", "is_exception_group")
_NAMES = ("dag_id", "task_id")  # identifiers from code: not masked, even if they contain a short password
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]{0,99}")

Mask = Callable[[str], str]
Event = Mapping[str, Any]


def redact_event(event: Event, safe: Mapping[str, str], mask: Mask = str) -> dict[str, Any]:
    """
    Return a Sentry event with only what may be sent.

    Args:
        event: as the SDK would send it.
        safe: the text to show for an exception, by its qualified type (see `safe_messages`).
        mask: replaces secrets that are known by value.
    """
    redacted = {name: event[name] for name in _FIELDS if name in event}
    redacted |= {name: _redact_value(event[name], mask) for name in _TEXT_FIELDS if event.get(name)}
    redacted["tags"] = {k: v if k in _NAMES else _redact_value(v, mask) for k, v in event.get("tags", {}).items()}
    redacted["contexts"] = {"airflow": _redact_value(event.get("contexts", {}).get("airflow", {}), mask)}
    values = (event.get("exception") or {}).get("values") or []
    if values:
        redacted["exception"] = {"values": [_redact_exception(value, safe, mask) for value in values]}
    return redacted


def safe_messages(error: BaseException) -> dict[str, str]:
    """Map the qualified types of `error` and of all its causes to the texts that may be shown."""
    texts: dict[str, list[str]] = {}
    for exception in _causes(error):
        shown = texts.setdefault(_qualified(type(exception).__module__, type(exception).__qualname__), [])
        text = redact_patterns(str(exception)) if isinstance(exception, MedallionError) else error_codes(exception)
        if text not in shown:
            shown.append(text)
    return {name: "; ".join(shown) for name, shown in texts.items()}


def error_codes(exception: BaseException) -> str:
    """Return the codes and names of schema objects of a library's exception, without its message."""
    response = getattr(exception, "response", None)
    diagnosis = getattr(exception, "diag", None)
    found = (
        _identifier("SQLSTATE", getattr(exception, "sqlstate", None), re.compile(r"[0-9A-Z]{5}")),
        *(_identifier(part, getattr(diagnosis, f"{part}_name", None)) for part in ("constraint", "table", "column")),
        _status(getattr(response, "status_code", None) or getattr(exception, "code", None)),
        *_aws(response),
        _errno(getattr(exception, "errno", None), system=isinstance(exception, OSError)),
        _identifier("module", getattr(exception, "name", None) if isinstance(exception, ImportError) else None),
    )
    return ", ".join([*filter(None, found), WITHHELD])


def _causes(error: BaseException) -> Iterator[BaseException]:
    queue: list[BaseException | None] = [error]
    seen: set[int] = set()
    while queue:
        exception = queue.pop(0)
        if exception is None or id(exception) in seen:
            continue
        seen.add(id(exception))
        yield exception
        members = exception.exceptions if isinstance(exception, BaseExceptionGroup) else ()
        queue += [exception.__cause__, exception.__context__, *members]


def _qualified(module: str | None, name: str | None) -> str:
    return f"{name}" if module in (None, "builtins") else f"{module}.{name}"


def _redact_exception(value: Event, safe: Mapping[str, str], mask: Mask) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames") or []
    kind = {"type": value.get("type"), "module": value.get("module")}
    shown = mask(safe.get(_qualified(kind["module"], kind["type"]), WITHHELD))[:_MAX_CHARACTERS]
    link = {k: v for k, v in (value.get("mechanism") or {}).items() if k in _LINK_FIELDS}
    return {
        **kind,
        "value": shown,
        **({"mechanism": link} if link else {}),
        **({"stacktrace": {"frames": [_redact_frame(frame) for frame in frames]}} if frames else {}),
    }


def _redact_frame(frame: Event) -> dict[str, Any]:
    return {name: frame[name] for name in _FRAME_FIELDS if name in frame}


def _redact_value(value: object, mask: Mask) -> object:
    if isinstance(value, Mapping):
        return {str(key): _redact_value(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_value(item, mask) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    return redact_patterns(mask(str(value)))[:_MAX_CHARACTERS]


def _identifier(label: str, value: object, shape: re.Pattern[str] = _IDENTIFIER) -> str | None:
    return f"{label} {value}" if isinstance(value, str) and shape.fullmatch(value) else None


def _status(value: object) -> str | None:
    return f"HTTP {int(value)}" if isinstance(value, int) and value in list(HTTPStatus) else None


def _errno(value: object, *, system: bool) -> str | None:
    if not isinstance(value, int):
        return None
    return errno.errorcode.get(value) if system else f"errno {int(value)}"


def _aws(response: object) -> tuple[str | None, ...]:
    if not isinstance(response, Mapping):
        return ()
    error, meta = response.get("Error") or {}, response.get("ResponseMetadata") or {}
    return _identifier("code", error.get("Code")), _status(meta.get("HTTPStatusCode"))
