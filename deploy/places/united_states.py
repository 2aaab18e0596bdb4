"""
Write the coordinates of US ZIP codes that `geocoder: offline` reads, from the package `zipcodes`.

    python -m deploy.places.united_states

The package (MIT, https://github.com/seanpianka/Zipcodes) unpacks 38 MB at its first call, which takes a quarter of a
second in every process; the file has what is needed of it. A code whose coordinate lies outside its state is left out,
unless `CORRECTED` has it. Codes of the armed forces (states AA, AE, AP) have no fixed place and are left out, too.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zipcodes

from include.medallion.geocoders.coordinates.boxes import plausible
from include.medallion.geocoders.offline.united_states import COUNTRIES, FILE

ARMED_FORCES = {"AA", "AE", "AP"}
CORRECTED = {  # places in GeoNames, https://www.geonames.org (CC BY 4.0), of codes that have a wrong sign or 0, 0
    "96939": (7.5008, 134.6238),  # Ngerulmud
    "96941": (6.9640, 158.2062),  # Pohnpei: Kolonia
    "96942": (7.4465, 151.8414),  # Chuuk: Weno
    "96943": (9.5164, 138.1217),  # Yap: Colonia
    "96944": (5.3248, 163.0078),  # Kosrae: Tofol
    "96960": (7.0897, 171.3803),  # Majuro
    "96970": (8.7748, 167.7392),  # Ebeye
}


def read_places() -> pa.Table:
    """Return codes and coordinates in degrees, ordered by code, with the package's version in the metadata."""
    found: dict[int, tuple[float, float]] = {}
    for state, rows in _by_state(zipcodes.list_all()).items():
        places = np.array(
            [CORRECTED.get(row["zip_code"]) or (row["lat"] or 0, row["long"] or 0) for row in rows], float
        )
        right = plausible(state if state in COUNTRIES else "US", *places.T, region=state)
        codes = [int(row["zip_code"]) for row in rows]
        found |= {code: (place[0], place[1]) for code, place, ok in zip(codes, places, right, strict=True) if ok}
    codes, places = zip(*sorted(found.items()), strict=True)
    latitudes, longitudes = zip(*places, strict=True)
    schema = pa.schema(
        {"code": pa.int32(), "latitude": pa.float64(), "longitude": pa.float64()},
        {"source": f"zipcodes {version('zipcodes')}", "licence": "MIT"},
    )
    return pa.table([list(codes), list(latitudes), list(longitudes)], schema=schema)


def _by_state(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    states: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["state"] not in ARMED_FORCES:
            states.setdefault(row["state"], []).append(row)
    return states


def write(path: Path) -> None:
    """Write the file; the same package gives the same bytes."""
    pq.write_table(
        read_places(),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={
            "code": "DELTA_BINARY_PACKED",
            "latitude": "BYTE_STREAM_SPLIT",
            "longitude": "BYTE_STREAM_SPLIT",
        },
        write_statistics=False,
    )


if __name__ == "__main__":
    write(FILE)
