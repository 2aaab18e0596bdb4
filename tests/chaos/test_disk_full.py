"""A lake on a full disk: runs fail, and the next one with room brings everything once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from deltalake import DeltaTable

from include.medallion.config import connections as connection_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import open_lake
from tests.integration.one_table import OneTable

NOTE = "'note {} ' || repeat(md5(id::text), 20)"
FILL = f"INSERT INTO wide SELECT id, lpad(id::text, 5, '0'), {NOTE} FROM generate_series(1, 3000) AS id"
CHANGE = f"UPDATE wide SET note = {NOTE}"


@pytest.fixture
def disk(tmp_path):
    """Return a small disk."""
    if os.geteuid() != 0:
        pytest.skip("disk full: only root can mount a small disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=False)
    if made.returncode:
        pytest.skip("disk full: no disk can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.fixture
def table(bronze_dsn, disk, lake, silver):
    """Return a table of 3000 wide rows with as many postcodes, whose lake is on that disk."""
    one = OneTable(bronze_dsn, "s3://unused", lake, silver, {"table": "wide", "key": "id"})
    one.pipeline = Pipeline.model_validate({**one.pipeline.model_dump(by_alias=True), "parts": {"keys_per_part": 1000}})
    one.connections = connection_settings.Connections(bronze_dsn, silver.connect, open_lake(f"file://{disk}", {}), {})
    one.sql("CREATE TABLE wide (id int PRIMARY KEY, postcode text, note text)", FILL.format("at first"))
    return one


@pytest.mark.chaos
def test_a_full_disk_loses_and_doubles_nothing(table, disk):
    """Gold stays readable and complete wherever in a run the disk is full; with room again both sinks follow."""
    table.run()
    failures = [_changed_with(table, disk, room) for room in range(20_000, 270_000, 50_000)]
    assert sum(failures) >= 3, "the disk was hardly ever full"
    table.run()
    source = dict(table.sql("SELECT id, note FROM wide"))
    for rows in (table.gold(), table.silver()):
        assert len(rows) == len(source)
        assert {row["id"]: row["note"] for row in rows} == source


def _changed_with(table: OneTable, disk: Path, room: int) -> bool:
    """Change all rows, and run with so much room; return whether the run failed."""
    table.sql(CHANGE.format(room))
    free, filler = os.statvfs(disk), disk / "filler"
    filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - room))
    try:
        table.run()
    except ContractBroken:
        raise
    except Exception as e:  # noqa: BLE001 (libraries report a full disk in many ways)
        print(f"{room:,} bytes of room: {type(e).__name__} in {_where(e)}")
        return True
    finally:
        filler.unlink()
        rows = DeltaTable(table.connections.lake.table("one")).to_pyarrow_table(columns=["id"])
        assert rows.num_rows == len(rows["id"].unique()) == 3000
    return False


def _where(error: BaseException) -> str:
    """Return the last function of the core that the error passed."""
    names, step = [], error.__traceback__
    while step:
        if "/medallion/" in step.tb_frame.f_code.co_filename:
            names.append(f"{Path(step.tb_frame.f_code.co_filename).stem}.{step.tb_frame.f_code.co_name}")
        step = step.tb_next
    return names[-1]
