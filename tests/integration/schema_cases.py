"""Changes of a table, each with rows of every history: read by the matrix test and by docs/generate.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from include.medallion.model.schema.changes import Kind

REPLACED, RELOADED, ADDED, NOTHING = "tables replaced", "all rows read again", "column added", "nothing to do"
SETUP = [
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN moods AS mood[]",
]


@dataclass(frozen=True)
class Case:
    """
    A change of a table, and what it means.

    Args:
        kind: of the change; None if it is none.
        columns: of the table, besides `id int PRIMARY KEY` and `postcode text`.
        rows: values of these columns in three rows.
        change: statements that make the change.
        after: statements that write values that only the changed table holds.
        settings: blocks of the pipeline file that change with it.
        window: what the next run does about it.
        replay: what happens to a batch that was staged before the change: `applied` in the new schema, `refused`, or
            `removed`.
        reconcile: what a reconcile before the next run does: it `compares`, or is `refused`.
    """

    kind: Kind | None
    columns: str
    rows: tuple[str, str, str]
    change: list[str]
    after: list[str] = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    window: str = REPLACED
    replay: str = "applied"
    reconcile: str = "compares"


TEXTS, NUMBERS = ("'x'", "'y'", "'z'"), ("1", "2", "3")
CASES = {
    "a column is added": Case(
        Kind.ADDED,
        "b text",
        TEXTS,
        ["ALTER TABLE one ADD COLUMN ts timestamp"],
        ["UPDATE one SET ts = '2024-02-29 12:00:00.5' WHERE id = 2"],
        window=ADDED,
    ),
    "a column with a default is added": Case(
        Kind.ADDED_WITH_VALUE,
        "b text",
        TEXTS,
        ["ALTER TABLE one ADD COLUMN c text NOT NULL DEFAULT 'x'"],
        window=RELOADED,
    ),
    "a column is added, and its default dropped": Case(
        Kind.ADDED_WITH_VALUE,
        "b text",
        TEXTS,
        ["ALTER TABLE one ADD COLUMN c int DEFAULT 7", "ALTER TABLE one ALTER c DROP DEFAULT", "VACUUM FULL one"],
        window=RELOADED,
    ),
    "a virtual generated column is added": Case(
        Kind.ADDED_WITH_VALUE,
        "b text",
        TEXTS,
        ["ALTER TABLE one ADD COLUMN t int GENERATED ALWAYS AS (id * 2) VIRTUAL"],
        window=RELOADED,
    ),
    "a column is renamed": Case(
        Kind.RENAMED, "b text", TEXTS, ["ALTER TABLE one RENAME b TO b2"], ["UPDATE one SET b2 = 'n' WHERE id = 2"]
    ),
    "a name gets another case": Case(Kind.RENAMED, "b text", TEXTS, ['ALTER TABLE one RENAME b TO "B"']),
    "two columns swap their names": Case(
        Kind.RENAMED,
        "a text, b text",
        ("'x', '1'", "'y', '2'", "'z', '3'"),
        ["ALTER TABLE one RENAME a TO t", "ALTER TABLE one RENAME b TO a", "ALTER TABLE one RENAME t TO b"],
        ["UPDATE one SET a = 'n' WHERE id = 2"],
    ),
    "a column is dropped": Case(
        Kind.DROPPED, "a int, b text", ("1, 'x'", "2, 'y'", "3, 'z'"), ["ALTER TABLE one DROP b"], window=NOTHING
    ),
    "a column is dropped and one of its name is added": Case(
        Kind.RECREATED,
        "b text",
        TEXTS,
        ["ALTER TABLE one DROP b", "ALTER TABLE one ADD b int"],
        ["UPDATE one SET b = 7 WHERE id = 2"],
    ),
    "a column is dropped and one of its name and type is added": Case(
        Kind.RECREATED,
        "b text",
        TEXTS,
        ["ALTER TABLE one DROP b", "ALTER TABLE one ADD b text"],
        ["UPDATE one SET b = 'n' WHERE id = 2"],
    ),
    "an integer becomes a bigint": Case(
        Kind.WIDENED,
        "c int",
        NUMBERS,
        ["ALTER TABLE one ALTER c TYPE bigint"],
        ["UPDATE one SET c = 3000000000 WHERE id = 2"],
    ),
    "an integer becomes a number with decimals": Case(
        Kind.RETYPED,
        "c int",
        NUMBERS,
        ["ALTER TABLE one ALTER c TYPE numeric(10,2)"],
        ["UPDATE one SET c = 1.50 WHERE id = 2"],
    ),
    "a number gets more decimals": Case(
        Kind.WIDENED,
        "c numeric(10,2)",
        ("1.25", "2", "3"),
        ["ALTER TABLE one ALTER c TYPE numeric(12,4)"],
        ["UPDATE one SET c = 1.2345 WHERE id = 2"],
    ),
    "a number gets fewer decimals": Case(
        Kind.NARROWED,
        "c numeric(12,4)",
        ("1.5", "1.2345", "3"),
        ["ALTER TABLE one ALTER c TYPE numeric(10,2)"],
        replay="refused",
    ),
    "a number loses its limit": Case(
        Kind.RETYPED,
        "c numeric(10,2)",
        ("1.25", "2", "3"),
        ["ALTER TABLE one ALTER c TYPE numeric"],
        ["UPDATE one SET c = 1.23456789 WHERE id = 2"],
    ),
    "an integer becomes text": Case(
        Kind.RETYPED,
        "c int",
        NUMBERS,
        ["ALTER TABLE one ALTER c TYPE text"],
        ["UPDATE one SET c = 'n/a' WHERE id = 2"],
    ),
    "a label of an enum is renamed": Case(
        Kind.LABELS,
        "m mood, ms moods",
        ("'sad', '{happy}'", "'happy', '{sad}'", "NULL, '{}'"),
        ["ALTER TYPE mood RENAME VALUE 'happy' TO 'happier'"],
        window=RELOADED,
    ),
    "a composite type gets an attribute": Case(
        Kind.LABELS,
        "p pair",
        ("'(1,x)'", "'(2,y)'", "NULL"),
        ["ALTER TYPE pair ADD ATTRIBUTE c int"],
        window=RELOADED,
    ),
    "the expression of a virtual column changes": Case(
        Kind.EXPRESSION,
        "b text, t int GENERATED ALWAYS AS (id * 2) VIRTUAL",
        TEXTS,
        ["ALTER TABLE one ALTER t SET EXPRESSION AS (id * 3)"],
        window=RELOADED,
    ),
    "a column must not be NULL any more": Case(
        None, "c int", NUMBERS, ["ALTER TABLE one ALTER c SET NOT NULL"], window=NOTHING
    ),
    "the key becomes a bigint": Case(
        Kind.WIDENED,
        "c int",
        NUMBERS,
        ["ALTER TABLE one ALTER id TYPE bigint"],
        ["INSERT INTO one VALUES (3000000000, '10001', 4)"],
        reconcile="refused",
    ),
    "the key becomes text": Case(
        Kind.RETYPED,
        "c int",
        NUMBERS,
        ["ALTER TABLE one ALTER id TYPE text USING 'no ' || id"],
        replay="refused",
        reconcile="refused",
    ),
    "the key is renamed": Case(
        Kind.KEY,
        "c int",
        NUMBERS,
        ["ALTER TABLE one RENAME id TO emp_id"],
        settings={"source": {"table": "one", "key": "emp_id"}},
        replay="refused",
        reconcile="refused",
    ),
    "a column is excluded": Case(
        Kind.EXCLUDED,
        "a int, b text",
        ("1, 'x'", "2, 'y'", "3, 'z'"),
        [],
        settings={"columns": {"exclude": ["b"]}},
        replay="removed",
    ),
    "a column is masked": Case(
        Kind.EXCLUDED,
        "a int, b text",
        ("1, 'x'", "2, 'y'", "3, 'z'"),
        [],
        settings={"columns": {"mask": {"b": "null"}}},
        replay="removed",
    ),
    "rows are filtered": Case(
        Kind.SETTINGS,
        "c int",
        NUMBERS,
        [],
        settings={"source": {"table": "one", "key": "id", "where": "id <> 3"}},
        replay="refused",
        reconcile="refused",
    ),
    "an enrichment is added": Case(
        Kind.ENRICHMENT,
        "other text",
        ("'10001'", "'60601'", "NULL"),
        [],
        settings={
            "enrich": [
                {"geocode": {"postcode": "postcode", "country": "US"}},
                {"geocode": {"postcode": "other", "country": "US", "prefix": "other_"}},
            ]
        },
        window=RELOADED,
    ),
}
"""The changes of the proof matrix, by what happens."""
