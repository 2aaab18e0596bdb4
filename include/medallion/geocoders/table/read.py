"""Read the rows of a user's table that may answer, with normalised keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from include.medallion.config.sections.geocoding import TableSettings
from include.medallion.errors import SettingError
from include.medallion.geocoders.location import Access, Sources
from include.medallion.geocoders.postcodes import UNKNOWN, normalise_columns, system_of
from include.medallion.geocoders.postcodes.territories import members as members_of
from include.medallion.lake import delta
from include.medallion.lake.object_store import filesystem
from include.medallion.model.columns import quote_identifier

if TYPE_CHECKING:
    import pyarrow.dataset as ds

DEFAULT_TABLE = "places"
PLACES = pa.schema(
    [
        ("country", pa.string()),
        ("postcode", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("radius_m", pa.float64()),
        ("precision", pa.string()),
        ("place_id", pa.string()),
    ]
)
"""Columns of places; a key may have several rows."""
IMPORT = ("source", "licence", "version", "imported_at")
"""Columns of a table that `places import` has made: where each place is from."""
_OPTIONAL = ("radius_m", "precision", "place_id")


def read_places(sources: Sources, access: Access, countries: Collection[str]) -> pa.Table:
    """
    Return the places in some countries (`PLACES`), those of their postal systems included.

    Raises:
        SettingError: there is no such table or column, or a column's type does not fit.
        Transient: the database cannot be reached.
    """
    settings = access.table or TableSettings()
    systems = {system_of(country) for country in countries}
    if settings.postgres:
        found = [_normalised(_read_postgres(sources, settings), settings, access, systems)]
    else:
        found = list(_read_files(_dataset(sources, settings), settings, access, systems))
    return pa.concat_tables([PLACES.empty_table(), *found]).combine_chunks()


def read_version(sources: Sources, access: Access) -> str:
    """Return what changes whenever the table's rows may have changed."""
    settings = access.table or TableSettings()
    if settings.postgres:
        name = _quoted(settings.postgres)
        statement = f"SELECT count(*) AS n, coalesce(sum(hashtext(t::text)), 0)::text AS h FROM {name} AS t"  # noqa: S608 (quoted)
        (row,) = sources.query(statement).to_pylist()
        return f"{settings.postgres} {row['n']} {row['h']}"
    if settings.parquet:
        where = fs.FileSelector(sources.lake.path(settings.parquet), recursive=True, allow_not_found=True)
        files = filesystem(sources.lake).get_file_info([sources.lake.path(settings.parquet)])
        files += filesystem(sources.lake).get_file_info(where)
        state = ",".join(sorted(f"{file.path} {file.size} {file.mtime_ns}" for file in files if file.is_file))
        return f"{settings.parquet} {sha256(state.encode()).hexdigest()[:16]}"
    name = settings.delta or DEFAULT_TABLE
    table = delta.open_table(sources.lake, name)
    return f"{name} {table.version() if table else 'none'}"


def _read_files(
    rows: ds.Dataset, settings: TableSettings, access: Access, systems: Collection[str]
) -> Iterator[pa.Table]:
    if {*IMPORT} <= {*rows.schema.names}:  # by `places import`, which normalised the keys
        members = sorted({member for system in systems for member in members_of(system)})
        yield rows.to_table(columns=PLACES.names, filter=pc.field("country").isin(members)).cast(PLACES)
        return
    columns = _columns(settings, rows.schema.names)
    for batch in rows.to_batches(columns=list(dict.fromkeys(columns.values()))):
        named = pa.table({name: batch.column(column) for name, column in columns.items()})
        yield _normalised(named, settings, access, systems)


def _read_postgres(sources: Sources, settings: TableSettings) -> pa.Table:
    name = _quoted(settings.postgres or "")
    known = sources.query(f"SELECT * FROM {name} LIMIT 0").column_names  # noqa: S608 (quoted)
    columns = _columns(settings, known)
    chosen = ", ".join(_select(column, as_name) for as_name, column in columns.items())
    return sources.query(f"SELECT {chosen} FROM {name}")  # noqa: S608 (quoted)


def _select(column: str, name: str) -> str:
    """Return a column of a statement: numbers of any type as numbers."""
    kind = "::float8" if name in {"latitude", "longitude", "radius_m"} else "::text"
    return f"{quote_identifier(column)}{kind} AS {quote_identifier(name)}"


def _dataset(sources: Sources, settings: TableSettings) -> ds.Dataset:
    lake = sources.lake
    if settings.parquet:
        import pyarrow.dataset as ds  # noqa: PLC0415 (loads pandas)

        try:
            return ds.dataset(lake.path(settings.parquet), filesystem=filesystem(lake), format="parquet")
        except FileNotFoundError:
            raise SettingError(
                f"enrich.geocode.table: there is no Parquet file {settings.parquet} below AWS_URI"
            ) from None
    name = settings.delta or DEFAULT_TABLE
    table = delta.open_table(lake, name)
    if table is None:
        raise SettingError(
            f"enrich.geocode.table: there is no Delta table {name} below AWS_URI: fill one with "
            "`python -m include.medallion places import FILE`, or name yours"
        )
    return delta.dataset(lake, name, table)


def _columns(settings: TableSettings, known: Collection[str]) -> dict[str, str]:
    """Return the table's column for each column of `PLACES` that it has."""
    country = {} if settings.country else {"country": settings.country_column}
    needed = country | {name: getattr(settings, name) for name in ("postcode", "latitude", "longitude")}
    optional = {name: getattr(settings, name) or name for name in _OPTIONAL}
    wanted = needed | {name: c for name, c in optional.items() if getattr(settings, name) or c in known}
    if missing := sorted(column for column in wanted.values() if column not in known):
        raise SettingError(f"enrich.geocode.table: the table has no columns {missing}: it has {sorted(known)}")
    return wanted


def _normalised(rows: pa.Table, settings: TableSettings, access: Access, systems: Collection[str]) -> pa.Table:
    """Return the rows that have a place in one of the systems, with their keys."""
    countries = _combined(rows, "country") if "country" in rows.column_names else pa.repeat(settings.country, len(rows))
    keys = normalise_columns(countries, _combined(rows, "postcode"), restore=access.restore_zeros)
    columns = [*keys, *(_typed(rows, field) for field in list(PLACES)[len(keys) :])]
    table = pa.table(columns, schema=PLACES)
    spelled = table["country"].combine_chunks().dictionary_encode()
    inside = [code != UNKNOWN and system_of(code) in systems for code in spelled.dictionary.to_pylist()]
    wanted = pc.fill_null(pa.array(inside, pa.bool_()).take(spelled.indices), fill_value=False)
    return table.filter(pc.and_(wanted, _are_places(table)))


def _are_places(table: pa.Table) -> pa.Array:
    """Return which rows have a place on earth; (0, 0) is how data say "unknown"."""
    north, east = (table[name].to_numpy() for name in ("latitude", "longitude"))
    with np.errstate(invalid="ignore"):
        inside = (np.abs(north) <= 90) & (np.abs(east) <= 180)  # noqa: PLR2004 (degrees)
    return pa.array(inside & ~((north == 0) & (east == 0)))


def _typed(rows: pa.Table, field: pa.Field) -> pa.Array:
    if field.name not in rows.column_names:
        return pa.nulls(len(rows), field.type)
    try:
        return _combined(rows, field.name).cast(field.type)
    except pa.ArrowException as e:  # its message may quote a value
        raise SettingError(
            f"enrich.geocode.table: column {field.name} is of type {rows.schema.field(field.name).type} and cannot be "
            f"read as {field.type} ({type(e).__name__})"
        ) from None


def _combined(rows: pa.Table, name: str) -> pa.Array:
    column = rows[name].combine_chunks()
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _quoted(name: str) -> str:
    return ".".join(quote_identifier(piece) for piece in name.split("."))
