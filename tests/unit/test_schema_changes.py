"""Which changes lie between two schemas of a table, and what a run does about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SchemaChanged, SinkBehind
from include.medallion.model.schema.changes import Action, Kind
from include.medallion.model.schema.compare import compare_schemas
from include.medallion.model.schema.source import SchemaColumn, SourceSchema, fingerprint
from include.medallion.model.window import Mode, Position, Window, is_applied
from include.medallion.steps.schema.plan import plan_refresh, plan_schema
from include.medallion.steps.schema.records import unrecorded

ID = SchemaColumn(1, "id", "integer", "int32", "INTEGER")
B = SchemaColumn(2, "b", "text", "string", "VARCHAR")
MOOD = SchemaColumn(3, "m", "mood", "string", "VARCHAR", definition=("label 100 sad", "label 101 happy"))
PAIR = SchemaColumn(4, "p", "pair", "string", "VARCHAR", definition=("attribute 9.1 integer", "attribute 9.2 text"))
WINDOW = Window("one", "source", after=500, upto=900, batch_id=20, schema=2, planned_from=(1, 3))


def schema(*columns, key=("id",), **more):
    """Return a schema with a key and these columns."""
    return SourceSchema((ID, *columns), key=key, **more)


def kinds(before, after):
    """Return the kinds of changes between two schemas, with the column of each."""
    return [(change.kind, change.column) for change in compare_schemas(before, after)]


def pipeline(**settings):
    """Return a pipeline with two sinks."""
    given = {"name": "one", "source": {"table": "t", "key": "id"}, "silver": {"table": "T"}, "gold": {"table": "t"}}
    return Pipeline.model_validate(given | settings)


def plan(before, after, **settings):
    """Return the plan of a run whose sinks both have a schema."""
    return plan_schema(pipeline(**settings), {"silver": before, "gold": before}, after, 3)


@pytest.mark.parametrize(
    "labels",
    [
        ("label 100 sad", "label 101 happier"),  # the old text is the beginning of the new one
        ("label 100 sadder", "label 101 happy"),
        ("label 100 happy", "label 101 sad"),
        ("label 102 sad", "label 100 blue", "label 101 happy"),  # renamed, and the old label added anew
    ],
)
def test_labels_that_values_have_are_compared_by_their_number(labels):
    """A label that was renamed is noticed, whatever else the enum has now."""
    assert kinds(schema(MOOD), schema(replace(MOOD, definition=labels))) == [(Kind.LABELS, "m")]


def test_a_label_more_changes_no_value():
    """A label may be added anywhere: no row has it yet."""
    more = replace(MOOD, definition=("label 102 angry", *MOOD.definition, "label 103 calm"))
    assert kinds(schema(MOOD), schema(more)) == []


def test_an_attribute_more_changes_all_values():
    """The text of a composite value has a field for each attribute."""
    more = replace(PAIR, definition=(*PAIR.definition, "attribute 9.3 integer"))
    assert kinds(schema(PAIR), schema(more)) == [(Kind.LABELS, "p")]


def test_labels_and_types_of_the_key_replace_the_table():
    """Rows would be doubled if keys with another text were applied through the fence."""
    before = schema(MOOD, key=("m",))
    renamed = schema(replace(MOOD, definition=("label 100 blue", "label 101 happy")), key=("m",))
    assert kinds(before, renamed) == [(Kind.KEY, "m")]
    assert plan(before, renamed).action is Action.REPLACE


@pytest.mark.parametrize("name", ["b", "B"])
def test_a_name_that_a_sink_still_has_is_never_continued(name):
    """A column that was dropped stays in the sinks with its old values: one of its name replaces the table."""
    dropped = plan(schema(B), schema()).schema
    assert dropped.kept == ("b",)
    assert kinds(dropped, schema(replace(B, attnum=5, name=name))) == [(Kind.RECREATED, name)]


def test_a_column_of_another_case_recreates_the_one_that_was_dropped():
    """Delta and Snowflake have one name for both."""
    assert (Kind.RECREATED, "b") in kinds(schema(B), schema(replace(B, attnum=5, name="B")))


def test_kept_columns_are_remembered_until_the_table_is_replaced():
    """Later changes keep the names; a change that replaces the table, and a full refresh, forget them."""
    kept = schema(kept=("b",))
    assert plan(kept, schema(MOOD)).schema.kept == ("b",)
    assert plan(kept, schema(replace(ID, type="bigint"), replace(B, attnum=5))).schema.kept == ()
    assert plan_refresh({"gold": kept}, schema()).schema.kept == ()


def test_columns_of_an_enrichment_that_was_removed_are_kept_too():
    """A source column, or another enrichment, of the same name replaces the table."""
    before = schema(added=(("latitude", ""),))
    removed = plan(before, schema()).schema
    assert removed.kept == ("latitude",)
    assert kinds(removed, before) == [(Kind.SETTINGS, "latitude")]
    assert kinds(removed, schema(replace(B, name="latitude"))) == [(Kind.RECREATED, "latitude")]


def test_dropped_columns_leave_the_sinks_if_the_pipeline_says_so():
    """`dropped_columns: drop` replaces the tables once the source drops a column."""
    dropped = plan(schema(B), schema(), columns={"dropped_columns": "drop"})
    assert (dropped.action, dropped.schema.kept) == (Action.REPLACE, ())
    assert plan(schema(B), schema()).action is Action.NOTHING


def test_a_lost_record_of_a_schema_replaces_the_tables():
    """Nobody knows what a sink has whose schema was recorded and is not any more."""
    positions = {"silver": Position("source", 9, 9, 1234), "gold": Position("source", 9, 9, fingerprint(schema(B)))}
    held = {"silver": None, "gold": None}
    assert unrecorded(positions, held, schema(B)) == ["silver"]
    found = plan_schema(pipeline(), held, schema(B), 3, unrecorded=["silver"])
    assert (found.action, found.changes) == (
        Action.REPLACE,
        ("the recorded schema of silver is gone: tables replaced",),
    )


@pytest.mark.parametrize(("held", "mode"), [(1, Mode.WINDOW), (2, Mode.WINDOW), (3, Mode.TRIAL), (0, Mode.WINDOW)])
def test_a_batch_is_applied_to_the_schemas_that_it_was_planned_for(held, mode):
    """The sink has its schema, one that the plan started from, or one that was never recorded."""
    assert not is_applied("gold", Position("source", 700, 10, held), replace(WINDOW, mode=mode))


@pytest.mark.parametrize("mode", [Mode.WINDOW, Mode.TRIAL, Mode.QUARANTINE])
def test_a_batch_is_not_applied_to_a_schema_that_it_was_not_planned_for(mode):
    """A run with an old watermark, or one that was overtaken, does not know the sink's columns."""
    held = Position("source", 700, 10, 4)
    with pytest.raises(SinkBehind, match="gold got other columns after batch 20 was opened, from batch 10") as caught:
        is_applied("gold", held, replace(WINDOW, mode=mode))
    assert caught.value.held == held


@pytest.mark.parametrize("settings", [{"on_schema_change": "fail"}, {"max_reload_rows": 2}])
def test_an_approval_is_for_the_change_that_was_shown(settings):
    """Another change in between is not approved with it."""
    held = {"gold": schema(B)}
    retyped = schema(replace(B, type="integer", arrow="int32", snowflake="INTEGER"))
    with pytest.raises(SchemaChanged) as stopped:
        plan_schema(pipeline(**settings), held, retyped, 3)
    approved = stopped.value.approval["approve_schema_change"]
    assert plan_schema(pipeline(**settings), held, retyped, 3, approved=approved).action is Action.REPLACE
    with pytest.raises(SchemaChanged):
        plan_schema(pipeline(**settings), held, schema(replace(retyped.columns[1], name="c")), 3, approved=approved)
