"""Small typed JSON documents with a checksum, so that a damaged or incomplete one is never taken for a good one."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar, cast
from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, read_bytes, write_bytes

T = TypeVar("T")
# making an adapter takes milliseconds, and a run reads many documents (mypy takes a type for not hashable: `Any`)
adapter = cache(TypeAdapter)


def write_document(lake: Lake, path: str, document: object) -> None:
    """
    Write a dataclass as JSON, whole or not at all.

    Args:
        path: below the lake's root.
        document: a dataclass of plain values, other dataclasses, enums, dates, tuples and dicts.
    """
    content = adapter(cast("Any", type(document))).dump_json(document)
    write_bytes(lake, path, b'{"crc32": "%08x", "document": %b}' % (crc32(content), content))


def read_document(lake: Lake, path: str, type_: type[T]) -> T:
    """
    Read a document back.

    Raises:
        FileNotFoundError: there is none.
        ContractBroken: it is damaged, or of another version of this package.
    """
    text = read_bytes(lake, path)
    try:
        checksum = str(json.loads(text)["crc32"])
        content = text[text.index(b'"document": ') + len('"document": ') : -1]
        if int(checksum, 16) != crc32(content):
            raise ContractBroken(f"{path} is damaged: its checksum does not match")
        return cast("T", adapter(cast("Any", type_)).validate_json(content))
    except (ValueError, KeyError, TypeError, ValidationError):
        raise ContractBroken(f"{path} is damaged, or another version of this package wrote it") from None
