"""
A user's own function as an enrichment: distinct keys in, columns out.

The function gets a `pyarrow.Table` of distinct keys and returns a table (or
anything with a column per name in `adds`) of the same length, row for row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module

import pyarrow as pa

from include.medallion.enrichment import Answered, Enrichment
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.keys import Key
from include.medallion.lookups import Tally
from include.medallion.pipeline import Function
from include.medallion.schema import ADDED, Column

KEYS_PER_CALL = 1_000


def function(settings: Function, columns: tuple[Column, ...]) -> Enrichment:
    """
    Make the enrichment that a pipeline file names.

    Raises:
        SettingError: the module or the function cannot be imported.
    """
    call = _imported(settings.call)
    types = {c.name: c.read_type for c in columns}
    if unfit := [name for name in settings.keys if pa.types.is_binary(types[name])]:
        raise SettingError(f"enrich.function.keys: {unfit} are bytes; keys are text, numbers, booleans or dates")
    key = pa.schema([(name, types[name]) for name in settings.keys])
    adds = pa.schema([(name, ADDED[type_]) for name, type_ in settings.adds.items()])
    none = dict.fromkeys(adds.names)
    return Enrichment(
        cache="lookups_" + settings.call.replace(":", ".").replace(".", "_"),
        provider=settings.call,
        reads=tuple(settings.keys),
        key=key,
        answers=adds,
        adds=tuple(adds.names),
        normalise=lambda values: None if all(v is None for v in values) else values,
        ask=lambda keys, _budget, _share, tally: _ask(call, settings, key, adds, keys, tally),
        group=KEYS_PER_CALL,
        costly=True,
        without_key=none,
        unanswered=none,
        refused=lambda _answer: False,
    )


def _imported(call: str) -> Callable[[pa.Table], pa.Table]:
    module, _, name = call.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as e:
        raise SettingError(
            f"enrich.function.call: {call} cannot be imported ({e}): it must be module:function on PYTHONPATH"
        ) from e


def _ask(
    call: Callable[[pa.Table], pa.Table],
    settings: Function,
    key: pa.Schema,
    adds: pa.Schema,
    keys: list[Key],
    tally: Tally,
) -> Iterator[Answered]:
    keep = timedelta(days=settings.keep_days)
    for start in range(0, len(keys), KEYS_PER_CALL):
        chunk = keys[start : start + KEYS_PER_CALL]
        given = pa.Table.from_arrays(
            [pa.array(v, f.type) for v, f in zip(zip(*chunk, strict=True), key, strict=True)], schema=key
        )
        tally.calls += 1
        returned = _checked(call(given), len(chunk), adds, settings.call)
        yield from (Answered(k, a, keep) for k, a in zip(chunk, returned, strict=True))


def _checked(returned: object, length: int, adds: pa.Schema, call: str) -> list[dict]:
    try:
        columns = [pa.chunked_array(_column(returned, f.name)).cast(f.type) for f in adds]
    except (LookupError, TypeError, ValueError, ArithmeticError, pa.ArrowNotImplementedError) as e:
        # not the library's words: they quote values
        raise ContractBroken(
            f"{call} must return columns {adds.names} as {[str(t) for t in adds.types]}, "
            f"but returned {_told(returned)} ({type(e).__name__})"
        ) from None
    if any(len(c) != length for c in columns):
        raise ContractBroken(f"{call} got {length} keys and returned {[len(c) for c in columns]} values a column")
    return pa.Table.from_arrays(columns, schema=adds).to_pylist()


def _told(returned: object) -> str:
    if isinstance(returned, pa.Table):
        return f"a table with {dict(zip(returned.schema.names, map(str, returned.schema.types), strict=True))}"
    return f"a {type(returned).__name__}" + (f" with {list(returned)}" if isinstance(returned, dict) else "")


def _column(returned: object, name: str) -> list[pa.Array]:
    values = returned[name]
    if isinstance(values, pa.ChunkedArray):
        return values.chunks or [pa.array([], values.type)]
    return [values if isinstance(values, pa.Array) else pa.array(values)]
