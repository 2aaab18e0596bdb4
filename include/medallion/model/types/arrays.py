"""Arrays of PostgreSQL as Arrow lists, and lists as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.model.types.arrow import list_of
from include.medallion.model.types.documents import is_exact_number

_QUOTED, _BARE = r'"((?:[^"\\]|\\.)*)"', r'([^,{}"\\]+)'
_SIMPLE = r'^\{[^{}"\\]*\}$'  # no element is quoted, none is an array
_ELEMENT = re.compile(f"{_QUOTED}|{_BARE}", re.DOTALL)
_WHOLE = re.compile(rf"\{{(?:(?:{_QUOTED}|{_BARE})(?:,(?:{_QUOTED}|{_BARE}))*)?\}}", re.DOTALL)
_NULL, _TRUE = "NULL", "t"
_NO_NUMBERS = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"', "-0": "-0.0e0"}


def is_list(texts: pa.Array) -> pa.Array:
    """
    Return whether each array has at most one dimension, and begins at 1 (bool array; null where the text is).

    >>> is_list(pa.array(["{1,2}", "{{1},{2}}", "[0:1]={1,2}"])).to_pylist()
    [True, False, False]
    """
    simple = pc.match_substring_regex(texts, _SIMPLE)
    others = pc.fill_null(pc.invert(simple), fill_value=False)
    if not pc.any(others).as_py():
        return simple
    found = [bool(_WHOLE.fullmatch(text)) for text in texts.filter(others).to_pylist()]
    return pc.replace_with_mask(simple, others, pa.array(found, pa.bool_()))


def parse_arrays(texts: pa.Array, element: pa.DataType) -> pa.Array:
    """
    Return one-dimensional arrays as lists.

    Args:
        texts: as PostgreSQL prints them, with `is_list`.
        element: type of the values.

    Raises:
        ArrowInvalid: a value is none of that type.

    >>> parse_arrays(pa.array(["{1,NULL}", "{}", None]), pa.int32()).to_pylist()
    [[1, None], [], None]
    """
    simple = pc.fill_null(pc.match_substring_regex(texts, _SIMPLE), fill_value=True)
    lists = _split(pc.if_else(simple, texts, "{}"))
    if not pc.all(simple).as_py():
        pairs = zip(simple.to_pylist(), texts.to_pylist(), strict=True)
        others = pa.array([None if is_simple else _elements(text) for is_simple, text in pairs], lists.type)
        lists = pc.if_else(simple, lists, others)
    return map_values(lists, lambda values: _cast(values, element))


def map_values(lists: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return lists with other values: those that a function returns for all of them at once."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    values = function(lists.flatten())
    missing = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(offsets, values, type=list_of(values.type), mask=missing)


def lists_to_json(lists: pa.Array) -> pa.Array:
    """
    Return lists as JSON; a value that JSON has no exact number for is text.

    >>> lists_to_json(pa.array([[0.5, None, float("nan")], None], pa.list_(pa.float64()))).to_pylist()
    ['[0.5,null,"NaN"]', None]
    """
    texts = map_values(lists, lambda values: pc.fill_null(_json_values(values), "null"))
    return pc.binary_join_element_wise("[", pc.binary_join(texts, ","), "]", "")


def _split(texts: pa.Array) -> pa.Array:
    """Split arrays without quotes."""
    inner = pc.utf8_slice_codeunits(texts, 1, -1)
    parts = pc.split_pattern(inner, ",")
    empty = pa.scalar([], parts.type)
    lists = pc.if_else(pc.equal(inner, ""), empty, parts)
    return map_values(lists, lambda values: pc.if_else(pc.equal(values, _NULL), None, values))


def _elements(text: str) -> list[str | None]:
    return [
        re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found[1] is not None else _bare(found[2])
        for found in _ELEMENT.finditer(text)
    ]


def _bare(text: str) -> str | None:
    return None if text == _NULL else text


def _cast(values: pa.Array, type_: pa.DataType) -> pa.Array:
    return pc.equal(values, _TRUE) if pa.types.is_boolean(type_) else values.cast(type_)


def _json_values(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type) or pa.types.is_integer(values.type):
        return values.cast(pa.string())
    encoded = values.cast(pa.string()).dictionary_encode()
    quote = _quoted_number if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type) else json.dumps
    return pa.array([quote(text) for text in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _quoted_number(text: str) -> str:
    number = _NO_NUMBERS.get(text, text)
    return number if number.startswith('"') or is_exact_number(number) else f'"{number}"'
