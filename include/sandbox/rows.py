"""
Sample employees for Bronze: real US addresses and postcodes, invented people.

Row `id` is the same in every sandbox, regardless of the number of rows. Some
postcodes are missing, mistyped, foreign or longer than usual, as they are in
life. Where the addresses really are stays out of the table: it is kept in
`truth/` for comparison with what the pipeline finds.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from faker import Faker

from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres

DDL = """
CREATE TABLE IF NOT EXISTS employees (
    id serial PRIMARY KEY,
    first_name varchar(100),
    last_name varchar(25),
    job_title_id int,
    department_id int,
    gender_id int,
    address varchar(100),
    postcode varchar(10),
    city_id int,
    email varchar(100),
    employment_start date
)
"""
INTEGERS = ("id", "job_title_id", "department_id", "gender_id", "city_id")
TEXTS = ("first_name", "last_name", "address", "postcode", "email")
SCHEMA = pa.schema(
    [(name, pa.int32()) for name in INTEGERS]
    + [(name, pa.string()) for name in TEXTS]
    + [("employment_start", pa.date32())]
)
TRUTH = pa.schema([("id", pa.int32()), ("latitude", pa.float64()), ("longitude", pa.float64())])
MOST = 1_031_008
# coprime with MOST and near the golden section of it: neighbours in the table are far apart in the country
STRIDE = 637_199
BLOCK = 10_000
ADDRESSES = """
SELECT a.id, address1, address2, city_id, code, lat_e7 / 1e7, lng_e7 / 1e7
FROM json_each(?) JOIN addresses a ON a.id = value JOIN postal_codes p ON p.id = postal_code_id
"""
FOREIGN = ("SW1A 1AA", "K1A 0B1", "1012 LG", "D-10115", "T2P 5E9", "EC1A 1BB")


def load(server: Postgres, database: str, rows: int, truth: Path) -> int:
    """
    Fill `employees` up to this number of rows and return how many were added.

    Rows that are there stay as they are, also those of others.

    Args:
        server: the Bronze cluster.
        database: in it.
        rows: how many there shall be.
        truth: folder for the true coordinates, one file per load.
    """
    import psycopg

    if not 0 <= rows <= MOST:
        raise SandboxError(f"ROWS must be between 0 and {MOST}: that many real addresses there are")
    with psycopg.connect(server.dsn(database)) as connection:
        connection.execute(DDL)
        have = connection.execute("SELECT coalesce(max(id), 0) FROM employees").fetchone()[0]
    if have >= rows:
        return 0
    truth.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(truth / f"employees-{have + 1}-{rows}.parquet", TRUTH) as places:
        _copy(server.uri(database), _employees(have, rows, places))
    return rows - have


def block(number: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return employees `number * BLOCK + 1` to `(number + 1) * BLOCK`, and where they live."""
    ids = range(number * BLOCK + 1, min((number + 1) * BLOCK, MOST) + 1)
    chance = random.Random(number)
    people = [_person(i, chance) for i in ids]
    homes = _addresses(ids)
    employees = [
        person | {"address": street[:100], "city_id": city, "postcode": _written(code, chance)}
        for person, (street, city, code, _, _) in zip(people, homes, strict=True)
    ]
    places = [{"id": i, "latitude": home[3], "longitude": home[4]} for i, home in zip(ids, homes, strict=True)]
    return pa.RecordBatch.from_pylist(employees, SCHEMA), pa.RecordBatch.from_pylist(places, TRUTH)


def _employees(have: int, rows: int, places: pq.ParquetWriter) -> Iterator[pa.RecordBatch]:
    for number in range(have // BLOCK, -(-rows // BLOCK)):
        first = number * BLOCK
        begin, end = max(have - first, 0), min(rows - first, BLOCK)
        employees, homes = (batch.slice(begin, end - begin) for batch in block(number))
        places.write_batch(homes)
        yield employees


def _copy(uri: str, batches: Iterator[pa.RecordBatch]) -> None:
    """COPY all batches in one transaction, and leave the sequence and the planner knowing of them."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("employees", pa.RecordBatchReader.from_batches(SCHEMA, batches), mode="append")
        cursor.execute("SELECT setval(pg_get_serial_sequence('employees', 'id'), (SELECT max(id) FROM employees))")
        cursor.execute("ANALYZE employees")
        connection.commit()


def _addresses(ids: range) -> list[tuple]:
    """Return street, city, postcode, latitude and longitude of each id."""
    spec = importlib.util.find_spec("random_address")
    if spec is None:
        raise SandboxError("package random-address-extended is missing: install requirements-sandbox.txt")
    wanted = [i * STRIDE % MOST for i in ids]
    file = Path(spec.origin).parent / "addresses-us-all.sqlite"
    connection = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)
    try:
        found = {row[0]: row for row in connection.execute(ADDRESSES, [json.dumps(wanted)])}
    finally:
        connection.close()
    return [(", ".join(filter(None, row[1:3])), *row[3:]) for row in (found[i] for i in wanted)]


def _written(code: str, chance: random.Random) -> str | None:
    """Return the postcode as a person typed it: about one in fifty is not five digits."""
    odd = (
        None,
        None,
        code[:4],
        code.replace("0", "O").replace("1", "l"),
        chance.choice(FOREIGN),
        f"{code}-{chance.randrange(1, 10_000):04d}",
        f"{code}-{chance.randrange(1, 10_000):04d}",
        f" {code} ",
    )
    return odd[case] if (case := chance.randrange(400)) < len(odd) else code


@cache
def _names() -> tuple[list[str], list[str]]:
    """Draw first and last names once: a million draws would take minutes."""
    faker = Faker("en_US", use_weighting=False)
    faker.seed_instance(1)
    firsts, lasts = (sorted({draw() for _ in range(2_000)}) for draw in (faker.first_name, faker.last_name))
    return firsts, lasts


def _person(number: int, chance: random.Random) -> dict:
    firsts, lasts = _names()
    first, last = chance.choice(firsts), chance.choice(lasts)
    return {
        "id": number,
        "first_name": first,
        "last_name": last,
        "job_title_id": chance.randrange(1, 120),
        "department_id": chance.randrange(1, 17),
        "gender_id": chance.randrange(1, 4),
        "email": f"{first}.{last}{number}@example.com".lower(),
        "employment_start": date(2000, 1, 1) + timedelta(days=chance.randrange(9_000)),
    }
