"""
A user's own function as an enrichment: distinct keys in, columns out.

The function receives a `pyarrow.Table` of distinct keys, with the columns `keys` of the pipeline file in the types of
the source. It returns a column for each name in `returns`, one row per key, in order, as a table, a data frame or a
dictionary of lists. NULL means that there is no result. An additional boolean column `_refused` sends the rows of a key
to the quarantine.

    enrich:
      function:
        call: include.departments:department_names
        keys: department_id
        returns: {department: string}

>>> import pyarrow as pa
>>> def department_names(keys: pa.Table) -> dict[str, list]:
...     names = {10: "Research", 20: "Sales"}
...     numbers = keys["department_id"].to_pylist()
...     return {"department": [names.get(n) for n in numbers], "_refused": [n < 0 for n in numbers]}
>>> department_names(pa.table({"department_id": [20, 99, -1]}))
{'department': ['Sales', None, None], '_refused': [False, False, True]}

To be called again later, the function raises `errors.Transient`, with `retry_after` in seconds if it is known. To stop
the run until a person acts, it raises `errors.ProviderRefused`. With `concurrency` above 1, it is called from several
threads. More examples are in docs/examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.checks.imports import import_function
from include.medallion.config.sections.enrichment import FunctionSettings
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.lookups.enrichment import KEEP_FOR, KEEP_FOR_TYPE, LOOKED_UP_AT, Enrichment, Tracking
from include.medallion.model.columns import ENRICHMENT_TYPES, Column
from include.medallion.model.keys import Key, to_table

STATUS, REFUSED = "_status", "_refused"
_OK, _NO_KEY, _STATUS_REFUSED = "OK", "NO_KEY", "REFUSED"
_CONVERSION_ERRORS = (LookupError, TypeError, ValueError, ArithmeticError, pa.ArrowNotImplementedError)
UserFunction = Callable[[pa.Table], Any]


def open_function(settings: FunctionSettings, columns: tuple[Column, ...]) -> Enrichment:
    """
    Open the function enrichment that a pipeline file describes.

    Args:
        settings: the file's `function` section.
        columns: columns that rows have before it: the source's, and those that earlier enrichments add.

    Raises:
        SettingError: the module or the function cannot be imported, or a column cannot be a key.
    """
    function, key = import_function("enrich.function.call", settings.call), _key_schema(settings, columns)
    returned = pa.schema([(name, ENRICHMENT_TYPES[type_]) for name, type_ in settings.returns.items()])
    tracked = _tracking(settings)
    return Enrichment(
        cache="lookups_" + settings.call.replace(":", ".").replace(".", "_"),
        provider=settings.call,
        reads=tuple(settings.keys),
        key=key,
        answers=pa.schema([*returned, (STATUS, pa.string())]),
        status=STATUS,
        adds={name: name for name in returned.names}
        | ({tracked.status: STATUS, tracked.at: LOOKED_UP_AT} if tracked else {}),
        normalise=_keys,
        call=partial(_call_function, function, settings, key, returned),
        keys_per_call=settings.keys_per_call,
        limits=settings,
        price_per_1000=settings.price_per_1000 or 0.0,
        answers_per_file=settings.keys_per_call,
        without_key=_NO_KEY,
        refused=_STATUS_REFUSED,
        tracked=tracked,
        expires=settings.expire == "null_out",
    )


def _keys(columns: Sequence[pa.Array]) -> list[Key | None]:
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return [None if all(value is None for value in row) else row for row in rows]


def _key_schema(settings: FunctionSettings, columns: tuple[Column, ...]) -> pa.Schema:
    types = {c.name: c.read_type for c in columns}
    if unknown := [name for name in settings.keys if name not in types]:
        raise SettingError(f"enrich.function.keys: the columns {unknown} do not exist; there are {sorted(types)}")
    if unsupported := [name for name in settings.keys if pa.types.is_binary(types[name])]:
        raise SettingError(
            f"enrich.function.keys: the columns {unsupported} are binary; use text, numbers, booleans or dates"
        )
    return pa.schema([(name, types[name]) for name in settings.keys])


def _tracking(settings: FunctionSettings) -> Tracking | None:
    if settings.status_prefix is None:
        return None
    prefix, keep = settings.status_prefix, timedelta(days=settings.keep_days)
    return Tracking(f"{prefix}_status", f"{prefix}_at", lambda _: keep)


def _call_function(
    function: UserFunction, settings: FunctionSettings, key: pa.Schema, returned: pa.Schema, keys: list[Key]
) -> pa.Table:
    answers = _check_result(function(to_table(keys, key)), len(keys), returned, settings.call)
    keep = pa.scalar(timedelta(days=settings.keep_days), KEEP_FOR_TYPE)
    return answers.append_column(pa.field(KEEP_FOR, KEEP_FOR_TYPE), pa.repeat(keep, len(keys)))


def _check_result(result: Any, length: int, returned: pa.Schema, path: str) -> pa.Table:
    try:
        columns = [_column(result, f.name, f.type) for f in returned]
        no_refusals = pa.chunked_array([pa.nulls(length, pa.bool_())])
        refused = _column(result, REFUSED, pa.bool_()) if _has_column(result, REFUSED) else no_refusals
    except _CONVERSION_ERRORS as e:
        # the message of the library would quote values
        raise ContractBroken(
            f"{path} must return columns {returned.names} as {[str(t) for t in returned.types]}, "
            f"but returned {_describe_result(result)} ({type(e).__name__})"
        ) from None
    if any(len(c) != length for c in (*columns, refused)):
        raise ContractBroken(
            f"{path} received {length:,} keys and returned {[len(c) for c in columns]} values per column"
        )
    statuses = pc.if_else(pc.fill_null(refused, fill_value=False), _STATUS_REFUSED, _OK)
    return pa.Table.from_arrays([*columns, statuses], schema=returned.append(pa.field(STATUS, pa.string())))


def _describe_result(result: Any) -> str:
    if isinstance(result, pa.Table):
        return f"a table with {dict(zip(result.schema.names, map(str, result.schema.types), strict=True))}"
    return f"a {type(result).__name__}" + (f" with {list(result)}" if isinstance(result, dict) else "")


def _has_column(result: Any, name: str) -> bool:
    names = getattr(result, "column_names", None)
    return name in (result if names is None else names)


def _column(result: Any, name: str, type_: pa.DataType) -> pa.ChunkedArray:
    values = result[name]
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values)
    return pa.chunked_array(values if isinstance(values, pa.ChunkedArray) else [values], values.type).cast(type_)
