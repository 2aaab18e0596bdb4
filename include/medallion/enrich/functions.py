"""
A user's own function as an enrichment: distinct keys in, columns out.

The function gets a `pyarrow.Table` of distinct keys and returns a table (or
anything with a column per name in `adds`) of the same length, row for row. A
further column `_refused` (boolean) sets the rows of those keys aside. To be
asked again later it raises `errors.Transient`; to stop until a person acts,
`errors.ProviderRefused`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.enrichment import FunctionSettings
from include.medallion.config.imports import import_function
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, LOOKED_UP_AT, Enrichment, Tracking
from include.medallion.model.columns import ENRICHMENT_TYPES, Column
from include.medallion.model.keys import Key, to_table

STATUS, REFUSED = "_status", "_refused"
_OK, _NO_KEY, _SET_ASIDE = "OK", "NO_KEY", "REFUSED"
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, pa.ArrowNotImplementedError)
_ONE_CALL = 1  # answers stored at a time, in calls


def open_function(settings: FunctionSettings, columns: tuple[Column, ...]) -> Enrichment:
    """
    Make the enrichment that a pipeline file names.

    Args:
        columns: those that rows have before it: the source's, and what enrichments before it add.

    Raises:
        SettingError: the module or the function cannot be imported, or a key cannot be a key.
    """
    call, key = import_function("enrich.function.call", settings.call), _key(settings, columns)
    adds = pa.schema([(name, ENRICHMENT_TYPES[type_]) for name, type_ in settings.adds.items()])
    tracking = {f"{settings.track}_status": STATUS, f"{settings.track}_at": LOOKED_UP_AT} if settings.track else {}
    return Enrichment(
        cache="lookups_" + settings.call.replace(":", ".").replace(".", "_"),
        provider=settings.call,
        reads=tuple(settings.keys),
        key=key,
        answers=pa.schema([*adds, (STATUS, pa.string())]),
        status=STATUS,
        adds={**{name: name for name in adds.names}, **tracking},
        normalise=lambda values: None if all(v is None for v in values) else values,
        call=partial(_call_function, call, settings, key, adds),
        keys_per_call=settings.keys_per_call,
        limits=settings,
        price_per_1000=settings.price_per_1000 or 0.0,
        group=settings.keys_per_call * _ONE_CALL,
        without_key=_NO_KEY,
        refused=_SET_ASIDE,
        tracked=_tracking(settings),
        expires=settings.expire == "null_out",
    )


def _key(settings: FunctionSettings, columns: tuple[Column, ...]) -> pa.Schema:
    types = {c.name: c.read_type for c in columns}
    if unknown := [name for name in settings.keys if name not in types]:
        raise SettingError(f"enrich.function.keys: {unknown} are no columns; there are {sorted(types)}")
    if unfit := [name for name in settings.keys if pa.types.is_binary(types[name])]:
        raise SettingError(f"enrich.function.keys: {unfit} are bytes; keys are text, numbers, booleans or dates")
    return pa.schema([(name, types[name]) for name in settings.keys])


def _tracking(settings: FunctionSettings) -> Tracking | None:
    if settings.track is None:
        return None
    return Tracking(f"{settings.track}_status", f"{settings.track}_at", lambda _: timedelta(days=settings.keep_days))


def _call_function(
    call: Callable[[pa.Table], object], settings: FunctionSettings, key: pa.Schema, adds: pa.Schema, keys: list[Key]
) -> pa.Table:
    answers = _check_result(call(to_table(keys, key)), len(keys), adds, settings.call)
    lives = pa.repeat(pa.scalar(timedelta(days=settings.keep_days), KEEP_FOR_TYPE), len(keys))
    return answers.append_column(pa.field(KEEP_FOR, KEEP_FOR_TYPE), lives)


def _check_result(returned: object, length: int, adds: pa.Schema, call: str) -> pa.Table:
    try:
        columns = [pa.chunked_array(_column(returned, f.name)).cast(f.type) for f in adds]
        aside = pa.chunked_array(_column(returned, REFUSED)).cast(pa.bool_()) if _has(returned, REFUSED) else None
    except _UNREADABLE as e:
        # not the library's words: they quote values
        raise ContractBroken(
            f"{call} must return columns {adds.names} as {[str(t) for t in adds.types]}, "
            f"but returned {_describe_result(returned)} ({type(e).__name__})"
        ) from None
    if any(len(c) != length for c in (*columns, *([aside] if aside else []))):
        raise ContractBroken(f"{call} got {length} keys and returned {[len(c) for c in columns]} values a column")
    statuses = pc.if_else(pc.fill_null(aside, fill_value=False), _SET_ASIDE, _OK) if aside else pa.repeat(_OK, length)
    return pa.Table.from_arrays([*columns, statuses], schema=adds.append(pa.field(STATUS, pa.string())))


def _describe_result(returned: object) -> str:
    if isinstance(returned, pa.Table):
        return f"a table with {dict(zip(returned.schema.names, map(str, returned.schema.types), strict=True))}"
    return f"a {type(returned).__name__}" + (f" with {list(returned)}" if isinstance(returned, dict) else "")


def _has(returned: object, name: str) -> bool:
    names = getattr(returned, "column_names", None)
    return name in (returned if names is None else names)


def _column(returned: object, name: str) -> list[pa.Array]:
    values = returned[name]
    if isinstance(values, pa.ChunkedArray):
        return values.chunks or [pa.array([], values.type)]
    return [values if isinstance(values, pa.Array) else pa.array(values)]
