"""A pipeline into Gold whose enriched parts a test writes itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.apply import apply_batch
from include.medallion.gold.sink import GoldSink
from include.medallion.lake.object_store import filesystem
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.window import Mode, Window
from include.medallion.staging.batch import Batch
from include.medallion.staging.layout import ENRICHED, part_file
from include.medallion.staging.parts import EnrichedPart, StagedFile
from tests.integration.s3_proxy import meeting

SOURCE = "system.1.2.3"
BATCHES, ROWS = 3, 25  # of `write_all`
FIRST, SECOND = 20260101000000001, 20260101000000002
SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string()), ("postcode", pa.string()), ("_version", pa.int64())])
TEXT_KEY = pa.schema([("email", pa.string()), ("postcode", pa.string()), ("_version", pa.int64())])


class People:
    """A pipeline whose enriched parts a test writes itself."""

    def __init__(self, lake, name="people", key="id", source="people"):
        self.lake = lake
        self.pipeline = Pipeline.model_validate(
            {
                "name": name,
                "source": {"table": source, "key": key},
                "enrich": {"geocode": {"postcode": "postcode", "country": "US"}},
                "silver": {"table": "people"},
                "gold": {"table": "people"},
            }
        )

    def stage(self, window, *parts, schema=SCHEMA, lake=None):
        """Write enriched parts; what a row leaves out is NULL. Return them as a batch."""
        enriched = [self._part(window, number, rows, schema) for number, rows in enumerate(parts)]
        return Batch(lake or self.lake, self.pipeline, window, tuple(enriched))

    def _part(self, window, number, rows, schema):
        files = (self.stage_chunk(window, number, 0, [rows], schema),)
        return EnrichedPart(number, (), len(rows), files, ())

    def stage_chunk(self, window, part, chunk, writes, schema):
        """Write one enriched file by several writes, each of a list of rows; return its reference."""
        path = part_file(window, ENRICHED, part, chunk)
        with create_parquet(self.lake, path, schema) as out:
            for rows in writes:
                out.write_table(pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows], schema))
        return StagedFile(path, chunk, out.file)

    def batch(self, window, *parts):
        """Return a batch of parts, each given as the references of its files."""
        rows = [sum(file.info.rows for file in files) for files in parts]
        enriched = (EnrichedPart(n, (), rows[n], tuple(files), ()) for n, files in enumerate(parts))
        return Batch(self.lake, self.pipeline, window, tuple(enriched))

    def write(self, window, *parts, schema=SCHEMA, lake=None):
        """Stage parts and write them to Gold."""
        return apply_batch(self.stage(window, *parts, schema=schema, lake=lake))

    def table(self, version=None):
        """Open Gold's table."""
        return DeltaTable(self.lake.table("people"), version=version, storage_options=dict(self.lake.options))

    def rows(self, *columns, version=None):
        """Return Gold's rows, sorted."""
        found = self.table(version).to_pyarrow_table(columns=list(columns or ("id", "email"))).to_pylist()
        return sorted(tuple(row.values()) for row in found)

    def held(self, source=SOURCE):
        """Ask Gold what it holds of a source."""
        return GoldSink(self.lake, self.pipeline).position(source)

    def log(self):
        """Return all that stands in the Delta log: commits as they are, checkpoints as text."""
        files, folder = filesystem(self.lake), self.lake.path("people/_delta_log")
        names = [f.path for f in files.get_file_info(pa.fs.FileSelector(folder))]
        texts = [files.open_input_file(n).read().decode() for n in names if n.endswith(".json")]
        checkpoints = [str(pq.read_table(n, filesystem=files).to_pylist()) for n in names if n.endswith(".parquet")]
        return "\n".join(texts), "\n".join(checkpoints)


def batch(number, after=None, mode=Mode.WINDOW, source=SOURCE, name="people"):
    """Give the window of the n-th batch: it ends at transaction 100 n."""
    start = 100 * (number - 1) if after is None else after
    return Window(name, source, start, 100 * number, 20260101000000000 + number, mode)


def person(key, email, version=50, **more):
    """Give a row as an enriched part holds it."""
    return {"id": key, "email": email, "_version": version, **more}


def counts(applied):
    """Give inserted, updated, superseded."""
    return applied.inserted, applied.updated, applied.superseded


def met(people, lake, window, rows, act, schema=SCHEMA):
    """Write a batch, and act at the moment of its first commit; return what was applied, and the proxy."""
    with meeting(lake.options["AWS_ENDPOINT_URL"], act) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.server_port}"
        through = replace(people.lake, options={**people.lake.options, "AWS_ENDPOINT_URL": endpoint})
        return people.write(window, rows, lake=through, schema=schema), proxy


def write_all(lake, name, first):
    """Write batch after batch as a pipeline does, its task tried again if it gives up; return how many were applied."""
    mine, applied = People(lake, name=name), 0
    for n in range(1, BATCHES + 1):
        rows = [person(first + ROWS * n + i, f"{name} {n}", 100 * n - 50) for i in range(ROWS)]
        applied += not tried(mine.stage(batch(n, name=name), rows)).replayed
    return applied


def tried(staged):
    """Write as a task does: with five tries."""
    for _ in range(4):
        with suppress(CommitFailedError):
            return apply_batch(staged)
    return apply_batch(staged)
