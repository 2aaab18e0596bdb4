"""What both APIs' halves exchange with the server: a question, a reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Request(NamedTuple):
    """An HTTP request that was read to its end."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Question(NamedTuple):
    """What was asked; a missing part is an empty text, and then `complete` is False."""

    key: str
    country: str
    postcode: str
    complete: bool
    address: str = ""  # the street address, if one was asked for


class Reply(NamedTuple):
    """An HTTP answer."""

    code: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"


def reply(document: Mapping[str, Any], code: int = 200) -> Reply:
    """Make a reply of JSON."""
    return Reply(code, json.dumps(document, indent=2).encode())
