"""What other engines do to Gold's table is refused by name before any sink is written, or makes no difference."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import fs

from include.medallion.errors import ContractBroken
from include.medallion.gold.inspect import unsupported_features
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.model.window import Mode
from include.medallion.ops.maintenance import maintain, retention
from include.medallion.ops.reconcile import reconcile
from tests.integration.one_table import OneTable


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of four people who arrived in both sinks, and of whom one changed since."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, postcode text)",
        "INSERT INTO people SELECT n, 'old', NULL FROM generate_series(1, 4) AS n",
    )
    people.run()
    people.sql("UPDATE people SET name = 'new' WHERE id = 1")
    return people


def log_file(people, version):
    """Return the path of a commit in the Delta log."""
    return people.connections.lake.path(f"one/_delta_log/{version:020d}.json")


def read_actions(people, version):
    """Read a commit."""
    with filesystem(people.connections.lake).open_input_file(log_file(people, version)) as file:
        return [json.loads(line) for line in file.read().decode().splitlines()]


def write_actions(people, version, actions):
    """Write a commit, as another engine does."""
    with filesystem(people.connections.lake).open_output_stream(log_file(people, version)) as file:
        file.write("\n".join(json.dumps(action) for action in actions).encode())


def commit(people, *actions):
    """Add a commit to the log."""
    write_actions(people, people.open("one").version() + 1, actions)


def protocol(reader, writer, reader_features=None, writer_features=None):
    """Return the action that raises a table's protocol."""
    features = {"readerFeatures": reader_features, "writerFeatures": writer_features}
    known = {name: value for name, value in features.items() if value is not None}
    return {"protocol": {"minReaderVersion": reader, "minWriterVersion": writer, **known}}


def set_property(people, name, value):
    """Set a property of the table; the protocol stays."""
    (about,) = (a["metaData"] for a in read_actions(people, 0) if "metaData" in a)
    commit(people, {"metaData": {**about, "configuration": {**about["configuration"], name: value}}})


def add_column_metadata(people, name, value):
    """Describe column `name` as one that the engine computes."""
    (about,) = (a["metaData"] for a in read_actions(people, 0) if "metaData" in a)
    schema = json.loads(about["schemaString"])
    next(f for f in schema["fields"] if f["name"] == "name")["metadata"][name] = value
    commit(people, {"metaData": {**about, "schemaString": json.dumps(schema)}})


FEATURES = {
    "appendOnly": lambda people: set_property(people, "delta.appendOnly", "true"),
    "deletionVectors": lambda people: commit(people, protocol(3, 7, ["deletionVectors"], ["deletionVectors"])),
    "columnMapping": lambda people: set_property(people, "delta.columnMapping.mode", "name"),
    "CHECK constraint positive": lambda people: people.open("one").alter.add_constraint({"positive": "id > 0"}),
    "generated column name": lambda people: add_column_metadata(
        people, "delta.generationExpression", "upper(postcode)"
    ),
    "identity column name": lambda people: add_column_metadata(people, "delta.identity.start", 1),
    "rowTracking": lambda people: commit(people, protocol(1, 7, None, ["rowTracking", "domainMetadata"])),
    "featureOfTomorrow": lambda people: commit(people, protocol(1, 7, None, ["featureOfTomorrow"])),
    "the reader does not know": lambda people: commit(people, protocol(3, 7, ["tomorrow"], ["tomorrow"])),
    "identityColumns": lambda people: commit(people, protocol(1, 6)),
}


def silver_rows(people):
    """Return Silver's rows without a look at Gold, which may not be readable."""
    with people.account.connect() as connection, connection.cursor() as cursor:
        return sorted(map(str, cursor.execute("SELECT * FROM ONE").fetchall()))


@pytest.mark.parametrize("feature", FEATURES)
def test_an_unsupported_feature_is_refused_before_anything_is_written(people, feature):
    """By its name, when the window is opened: Silver stays as it is, and so does what it holds of the source."""
    before = silver_rows(people)
    FEATURES[feature](people)
    with pytest.raises(ContractBroken, match=rf"the Gold table one has features .*{feature}"):
        people.run()
    assert silver_rows(people) == before


@pytest.mark.parametrize("act", ["reconcile", "maintain", "apply"])
def test_it_is_refused_wherever_gold_is_opened(people, act):
    """A reconcile and maintenance as well, and a batch whose window was opened before."""
    window = people.begin()
    people.extract(window)
    people.enrich(window)
    FEATURES["deletionVectors"](people)
    with pytest.raises(ContractBroken, match="deletionVectors"):
        {
            "reconcile": lambda: reconcile(people.pipeline, people.connections),
            "maintain": lambda: maintain(people.pipeline, people.connections, retention({}, datetime.now(UTC))),
            "apply": lambda: people.apply(window, "gold"),
        }[act]()


def test_a_feature_that_is_dropped_again_is_no_hindrance(people):
    """The next run brings what was missing."""
    set_property(people, "delta.appendOnly", "true")
    with pytest.raises(ContractBroken, match="appendOnly"):
        people.run()
    set_property(people, "delta.appendOnly", "false")
    assert people.run().read == 1
    assert people.silver() == people.gold()


@pytest.mark.parametrize(
    "supported",
    [
        protocol(1, 7, None, ["appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"]),
        protocol(3, 7, ["timestampNtz"], ["timestampNtz"]),
        protocol(1, 4),
        protocol(2, 5),
    ],
)
def test_a_protocol_whose_features_are_not_used_is_written(people, supported):
    """Engines raise the protocol for features that the table then does not use."""
    commit(people, supported)
    assert people.run().sinks["gold"].updated == 1
    assert people.silver() == people.gold()


def test_the_change_data_feed_is_supported(people):
    """It asks for change files, which delta-rs writes."""
    people.open("one").alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
    assert unsupported_features(people.open("one")) == []
    assert people.run().sinks["gold"].updated == 1
    assert people.silver() == people.gold()


STATISTICS = {
    "none": None,
    "rows": {"numRecords": 4},
    "key": {"numRecords": 4, "minValues": {"id": 1}, "maxValues": {"id": 4}, "nullCount": {"id": 0}},
    "version": {"numRecords": 4, "minValues": {"_version": 1}, "maxValues": {"_version": 1 << 40}, "nullCount": {}},
}
"""What another engine records of a file."""


@pytest.mark.parametrize(
    ("mode", "statistics"),
    # a refresh replaces the file: what is recorded of it makes no difference
    [*((mode, name) for mode in (Mode.WINDOW, Mode.LOOKUPS) for name in STATISTICS), (Mode.REFRESH, "none")],
)
def test_files_without_statistics_are_counted_right(people, mode, statistics):
    """Another engine wrote the file again: rows, counts and a reconcile are as if it had not."""
    version = people.open("one").version()
    actions = read_actions(people, version)
    for added in (action["add"] for action in actions if "add" in action):
        added.pop("stats", None)
        if STATISTICS[statistics] is not None:
            added["stats"] = json.dumps(STATISTICS[statistics])
    write_actions(people, version, actions)
    people.run(mode=mode)
    people.sql("UPDATE people SET name = 'newer' WHERE id <= 2", "DELETE FROM people WHERE id = 4")
    people.run()
    report = reconcile(people.pipeline, people.connections)
    assert [(sink.live, sink.missing, sink.older) for sink in report.sinks.values()] == [(3, 0, 0), (3, 0, 0)]
    assert people.silver() == people.gold()


def test_a_filter_of_a_file_without_bounds_keeps_its_partition(tmp_path):
    """Such a file still has the values of its partition columns, which are in no file."""
    lake, schema = Lake(f"file://{tmp_path}"), pa.schema([("part", pa.string()), ("a", pa.int64()), ("b", pa.int64())])
    table = delta.open_or_create(lake, "t", schema, statistics=["a", "b"], partition_by=["part"])
    rows = [{"part": part, "a": 1, "b": 2} for part in ("x", "y", None)]
    write_deltalake(table, pa.Table.from_pylist(rows, schema), mode="append")
    log = tmp_path / "t" / "_delta_log" / f"{1:020d}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["stats"] = json.dumps({"numRecords": 1, "minValues": {"a": 1}, "maxValues": {"a": 1}})
    log.write_text("\n".join(map(json.dumps, actions)))
    found = delta.dataset(lake, "t", DeltaTable(lake.table("t")))
    assert found.count_rows(filter=pa.compute.field("b") == 2) == 3
    read = found.to_table(filter=pa.compute.field("b") == 2).to_pylist()
    assert sorted(map(str, (row["part"] for row in read))) == ["None", "x", "y"]
    assert found.count_rows(filter=pa.compute.field("part") == "x") == 1


@pytest.mark.parametrize("act", ["run", "reconcile"])
def test_missing_data_files_are_reported_with_the_cure(people, act):
    """The message names the table; a full refresh replaces all files."""
    lake = people.connections.lake
    files = filesystem(lake)
    for info in files.get_file_info(fs.FileSelector(lake.path("one"))):
        if info.base_name.endswith(".parquet"):
            files.delete_file(info.path)
    with pytest.raises(ContractBroken, match="data files of the Gold table one are missing"):
        people.run() if act == "run" else reconcile(people.pipeline, people.connections)
    people.run(mode=Mode.REFRESH)
    assert people.silver() == people.gold()
    assert len(people.gold()) == 4
