"""
What a pipeline file for a table should say, from names and sampled values. Pure.

A guess is taken only if the sample supports it; whatever needs a person becomes a commented line of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.types as pt

from include.medallion.config.countries import to_alpha2
from include.medallion.config.sections.enrichment import GEOCODE_COLUMNS
from include.medallion.geocoders.location import Status
from include.medallion.geocoders.offline import locate_many
from include.medallion.geocoders.postcodes import is_area, normalise
from include.medallion.geocoders.postcodes.forms import formed
from include.medallion.model.columns import SYSTEM_COLUMNS, Column
from include.medallion.onboarding.inspect import Key, Table
from include.medallion.onboarding.words import country_prefix, personal_mask, postcode_prefix

MOSTLY = 0.8
"""Share of a sample that supports a guess."""
ENOUGH = 5
"""Distinct values from which a sample says something about content alone."""
_LETTERED = ("GB", "CA", "NL", "IE")
"""Countries whose postcodes are recognised by their letters."""
_OFFLINE = ("US", "DE")
"""Countries of numeric postcodes that are recognised because the offline geocoder knows the codes."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_TEXTS = frozenset({"uuid", "citext", "name", "xml"})
"""Types that are text in the sinks, without a decision to make."""


@dataclass(frozen=True, slots=True)
class Geocode:
    """
    One enrichment of the draft.

    Args:
        country_column, country: how the country is known; neither: a person must say.
        prefix: of the added columns.
        lost_zeros: the postcodes are numbers, so leading zeros are lost.
    """

    postcode: str
    country_column: str | None = None
    country: str | None = None
    prefix: str = ""
    lost_zeros: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the country is known."""
        return bool(self.country or self.country_column)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """
    What the file should say.

    Args:
        masks: suspected personal columns, with the mask as the file takes it.
        decisions: what a person should decide about types and names, one a line.
        assumptions: why the file says what it says.
    """

    key: Key
    geocodes: tuple[Geocode, ...] = ()
    masks: dict[str, str] = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    assumptions: tuple[tuple[str, str], ...] = ()


def suggest(table: Table) -> Suggestion:
    """Return what a pipeline file for a table with a unique key should say."""
    key = table.keys[0]
    geocodes = tuple(_with_prefixes(table, list(_geocodes(table))))
    masks = {name: mask for name in _names(table) if (mask := _mask(table, name, key))}
    decisions = (*_types_to_decide(table), *_names_to_decide(table))
    return Suggestion(key, geocodes, masks, decisions, tuple(_assumptions(table, key, geocodes, masks)))


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _geocodes(table: Table) -> Iterator[Geocode]:
    countries = {prefix: name for name in _names(table) if (prefix := _country_prefix(table, name)) is not None}
    for column in table.columns:
        prefix = postcode_prefix(column.name)
        if prefix is None or not _may_hold_postcodes(column):
            continue
        values = table.values(column.name)
        if values and not _look_like_postcodes(values):
            continue
        country = countries.get(prefix) or (countries.get("") if len(countries) == 1 else None)
        lost = not pt.is_string(column.type)
        yield Geocode(column.name, country, None if country else country_of(values), prefix, lost_zeros=lost)


def _with_prefixes(table: Table, found: Sequence[Geocode]) -> Iterator[Geocode]:
    """Name the added columns apart, from each other and from columns of the table."""
    taken = {name.lower() for name in _names(table)}
    for one in found:
        prefix = f"{re.sub('[^a-z0-9]+', '_', one.prefix)}_" if len(found) > 1 and one.prefix else ""
        if {prefix + name for name in GEOCODE_COLUMNS} & taken:
            prefix += "geo_"
        yield Geocode(one.postcode, one.country_column, one.country, prefix, one.lost_zeros)


def _country_prefix(table: Table, name: str) -> str | None:
    """Return what stands before the word for a country in the name of a column that holds countries; else None."""
    prefix, values = country_prefix(name), table.values(name)
    known = [value for value in values if to_alpha2(value)]
    return prefix if prefix is not None and values and len(known) >= MOSTLY * len(values) else None


def _may_hold_postcodes(column: Column) -> bool:
    numbers = pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_decimal(column.type)
    return bool(numbers or (pt.is_string(column.type) and not column.mask))


def _look_like_postcodes(values: Sequence[str]) -> bool:
    """Return whether values are short and mostly hold digits, as postcodes of all countries but a few do."""
    fitting = [v for v in values if len(v.strip()) <= 12 and any(map(str.isdigit, v))]  # noqa: PLR2004
    return len(fitting) >= MOSTLY * len(values)


def country_of(values: Sequence[str]) -> str | None:
    """
    Return the country whose postcodes these are; None if they fit several, or none.

    >>> country_of(["SW1A 1AA", "OX1 3QD", "M1 1AE", "EH1 1YZ", "CF10 3AT"])
    'GB'
    """
    if len(values) < ENOUGH:
        return None
    lettered = [value for value in values if any(map(str.isalpha, value))]
    if len(lettered) >= MOSTLY * len(values):
        fitting = [country for country in _LETTERED if _share_formed(country, values) >= MOSTLY]
    else:
        fitting = [country for country in _OFFLINE if _share_known(country, values) >= MOSTLY]
    return fitting[0] if len(fitting) == 1 else None


def _share_formed(country: str, values: Sequence[str]) -> float:
    found = (formed(country, value.upper().strip()) for value in values)
    return sum(code is not None and not is_area(country, code) for code in found) / len(values)


def _share_known(country: str, values: Sequence[str]) -> float:
    keys = [key for value in values if (key := normalise(country, value))]
    found = locate_many(
        pa.array([key[0] for key in keys], pa.string()), pa.array([key[1] for key in keys], pa.string())
    )
    answered = [status for status in found["status"].to_pylist() if status == Status.OK]
    return len(answered) / len(values)


def _mask(table: Table, name: str, key: Key) -> str | None:
    mask = personal_mask(name) or ("keep_domain" if _are_emails(table.values(name)) else None)
    return "{hmac: {environment: MEDALLION_MASK_KEY}}" if mask and name in key.columns else mask


def _are_emails(values: Sequence[str]) -> bool:
    return bool(values) and sum(bool(_EMAIL.fullmatch(value)) for value in values) >= MOSTLY * len(values)


def _types_to_decide(table: Table) -> Iterator[str]:
    for column in table.columns:
        declared = table.declared[column.name]
        if declared == "numeric":
            yield f"{column.name} is numeric without precision: it arrives as exact text; `types` makes a number of it"
        elif column.as_text and column.snowflake_type == "VARCHAR" and declared not in _TEXTS:
            yield f"{column.name} is {declared}: it arrives as its text"
        elif not pt.is_string(column.type) and any("infinity" in value for value in table.values(column.name)):
            yield f"{column.name} is {declared} and holds infinity, which no sink has: set out_of_range"


def _names_to_decide(table: Table) -> Iterator[str]:
    taken = {column.snowflake_name.upper(): column.name for column in SYSTEM_COLUMNS}
    for column in table.columns:
        name = column.snowflake_name.upper()
        if name in taken:
            yield f"{column.name} and {taken[name]} have one name in a sink: exclude or rename one"
        taken.setdefault(name, column.name)


def _assumptions(
    table: Table, key: Key, geocodes: Sequence[Geocode], masks: dict[str, str]
) -> Iterator[tuple[str, str]]:
    yield "key", f"{', '.join(key.columns)} ({_reason(key)})"
    for one in geocodes:
        yield "enrich", f"{one.postcode} is a postcode; {_country_reason(table, one)}"
    if not geocodes:
        yield "enrich", "nothing: no column looks like a postcode"
    if masks:
        yield "personal", f"{', '.join(masks)}: masks are in the file as comments"


def _reason(key: Key) -> str:
    if key.is_primary:
        return "the primary key"
    return "a unique index" if key.not_null else "a unique index that allows NULL: rows without it are quarantined"


def _country_reason(table: Table, one: Geocode) -> str:
    seen = len(table.values(one.postcode))
    if one.country_column:
        return f"{one.country_column} holds the country"
    if one.country:
        return f"the country is {one.country}, as {seen:,} sampled values say"
    reason = f"{seen:,} sampled values do not say which" if seen else "the table has no rows to tell it from"
    return f"its country is yours to say: {reason}; enrich is in the file as a comment"
