"""Match keys with the places of a table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.geocoders.coordinates.centres import centres
from include.medallion.geocoders.location import AREA, LOCATED, Status
from include.medallion.geocoders.postcodes import AREAS, is_area
from include.medallion.geocoders.table.read import PLACES

_POSTCODE = "POSTCODE"
_SEPARATOR = "\x1f"
_FIRST_PIECE = (r"[ -].*", "")  # "OX1 2JD": OX1; "13083-852": 13083


def match(countries: pa.Array, postcodes: pa.Array, places: pa.Table) -> pa.RecordBatch:
    """
    Return a row of LOCATED for each key.

    Args:
        countries, postcodes: of the keys.
        places: with columns of `PLACES`; a key may have several rows, which are merged.
    """
    known = merge_places(pa.concat_tables([merge_places(places), _areas(places)]))
    names = _keys(known["country"], known["postcode"])
    at = pc.index_in(_keys(countries, postcodes), value_set=names)
    areas = pc.index_in(_keys(countries, pc.replace_substring_regex(postcodes, *_FIRST_PIECE)), value_set=names)
    by_area = pc.and_(at.is_null(), pc.and_(areas.is_valid(), pc.is_in(countries, pa.array(sorted(AREAS)))))
    return _answers(countries, known.take(pc.if_else(by_area, areas, at)), by_area, known)


def merge_places(places: pa.Table) -> pa.Table:
    """Return one row for each key: the only one, or the centre of several with its radius."""
    groups = _keys(places["country"], places["postcode"]).dictionary_encode()
    if len(groups.dictionary) == len(places):
        return places
    numbers = groups.indices.to_numpy()
    _, first = np.unique(numbers, return_index=True)
    found = centres(numbers, *(places[name].to_numpy() for name in ("latitude", "longitude", "radius_m")))
    merged = places.take(pa.array(first))
    for name, values in zip(("latitude", "longitude", "radius_m"), found, strict=True):
        column = pa.array(values, pa.float64(), mask=np.isnan(values))
        merged = merged.set_column(PLACES.get_field_index(name), PLACES.field(name), column)
    return merged


def _areas(places: pa.Table) -> pa.Table:
    """Return the areas of whole postcodes, if their own codes are not among the places."""
    pieces = pc.replace_substring_regex(places["postcode"], *_FIRST_PIECE)
    whole = pc.and_(pc.not_equal(pieces, places["postcode"]), pc.is_in(places["country"], pa.array(sorted(AREAS))))
    codes = places.set_column(PLACES.get_field_index("postcode"), PLACES.field("postcode"), pieces).filter(whole)
    codes = codes.set_column(
        PLACES.get_field_index("precision"), PLACES.field("precision"), pa.repeat(AREA, len(codes))
    )
    codes = codes.set_column(
        PLACES.get_field_index("place_id"), PLACES.field("place_id"), pa.nulls(len(codes), pa.string())
    )
    known = pc.is_in(_keys(codes["country"], codes["postcode"]), _keys(places["country"], places["postcode"]))
    return merge_places(codes.filter(pc.invert(known)))


def _answers(countries: pa.Array, found: pa.Table, by_area: pa.Array, known: pa.Table) -> pa.RecordBatch:
    located = found["latitude"].combine_chunks().is_valid()
    supported = pc.is_in(countries, known["country"].unique())
    missing = pc.if_else(supported, str(Status.ZERO_RESULTS), str(Status.UNSUPPORTED))
    areas = pc.or_(by_area, _are_areas(found))
    own = pc.coalesce(found["precision"].combine_chunks(), pa.scalar(_POSTCODE))
    precision = pc.if_else(located, pc.if_else(areas, AREA, own), pa.scalar(None, pa.string()))
    columns = [pc.if_else(located, str(Status.OK), missing), found["latitude"], found["longitude"], precision]
    columns += [found["place_id"], found["radius_m"], pa.nulls(len(found), pa.string())]
    arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=LOCATED)


def _are_areas(found: pa.Table) -> pa.Array:
    may_be = pc.fill_null(pc.is_in(found["country"], pa.array(sorted(AREAS))), fill_value=False).combine_chunks()
    keys = zip(*(found[name].filter(may_be).to_pylist() for name in ("country", "postcode")), strict=True)
    return pc.replace_with_mask(may_be, may_be, pa.array([is_area(*key) for key in keys], pa.bool_()))


def _keys(countries: pa.Array | pa.ChunkedArray, postcodes: pa.Array | pa.ChunkedArray) -> pa.Array:
    keys = pc.binary_join_element_wise(countries, postcodes, _SEPARATOR)
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
