"""
Documents in Snowflake: which JSON a VARIANT holds as it is.

A VARIANT has one value for a name of an object, and reads a number as a decimal or as a double. A document in which a
name is repeated, a number would be rounded, or a character is no Unicode character, is held as its text.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_SUSPECT = r"[0-9][0-9.]{15}|[0-9][eE]|\\u[dD]"
_INT64, _UINT64 = -(2**63), 2**64 - 1


class _InexactError(ValueError):
    """A VARIANT does not hold the document."""


def as_variant_json(texts: pa.Array, *, may_repeat_names: bool) -> pa.Array:
    r"""
    Return JSON that PARSE_JSON turns into an equal VARIANT: documents, or as a JSON string the text of a document.

    Args:
        texts: documents.
        may_repeat_names: an object may have a name twice.

    >>> as_variant_json(pa.array(['{"a": 1.5}', '{"a": 1, "a": 2}']), may_repeat_names=True).to_pylist()
    ['{"a": 1.5}', '"{\\"a\\": 1, \\"a\\": 2}"']
    """
    suspects = texts.is_valid() if may_repeat_names else pc.match_substring_regex(texts, _SUSPECT)
    if not pc.any(suspects).as_py():
        return texts
    chosen = pc.fill_null(suspects, fill_value=False)
    checked = [text if _is_exact(text) else json.dumps(text) for text in texts.filter(chosen).to_pylist()]
    return pc.replace_with_mask(texts, chosen, pa.array(checked, pa.string()))


def is_exact_number(literal: str) -> bool:
    """
    Return whether a number of JSON is the same as an integer of 64 bits or as a double.

    >>> is_exact_number("18446744073709551615"), is_exact_number("0.1"), is_exact_number("0.12345678901234567890")
    (True, True, False)
    """
    exact = Decimal(literal)
    if exact == exact.to_integral_value() and _INT64 <= exact <= _UINT64:
        return True
    return exact == Decimal(repr(float(literal)))


def _is_exact(text: str) -> bool:
    try:
        json.loads(text, object_pairs_hook=_unique, parse_float=_number, parse_int=_number)
        text.encode()
        return "\\u" not in text or _has_no_surrogate(json.loads(text))
    except (_InexactError, RecursionError):
        return False


def _has_no_surrogate(document: Any) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _InexactError
    return found


def _number(literal: str) -> float:
    if not is_exact_number(literal):
        raise _InexactError
    return 0.0
