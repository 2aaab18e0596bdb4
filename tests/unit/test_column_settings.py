"""Mistakes in columns, source.where and expect are reported by `check`, with the field and the fix."""

from __future__ import annotations

import pytest
import yaml

from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError

BASE = {
    "source": {"table": "people", "key": "id"},
    "enrich": {"geocode": {"postcode": "postcode", "country": "US"}},
    "gold": {"table": "people"},
}


@pytest.fixture
def complaint(tmp_path):
    """Lend a function that writes a pipeline file with these blocks and returns the one mistake in it."""

    def check(**blocks):
        file = tmp_path / "people.yaml"
        file.write_text(yaml.safe_dump(BASE | blocks))
        with pytest.raises(SettingError) as refused:
            pipeline_files.load_file(file)
        (line,) = str(refused.value).splitlines()
        return line.removeprefix(f"{file}: ")

    return check


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"include": ["a"], "exclude": ["b"]}, "columns: include and exclude are mutually exclusive"),
        ({"include": ["postcode"]}, "columns.include lacks columns that the pipeline needs: ['id']"),
        ({"exclude": ["id", "postcode"]}, "columns.exclude names columns that the pipeline needs: ['id', 'postcode']"),
        ({"exclude": ["a"], "mask": {"a": "sha256"}}, "columns: mask and rename name columns that do not flow: ['a']"),
        ({"rename": {"a": "c", "b": "c"}}, "columns: rename gives ['c'] to several columns"),
        ({"rename": {"postcode": "zip"}}, "columns.rename renames ['postcode']: use the new names in enrich"),
        ({"mask": {"id": "null"}}, "columns.mask: ['id'] are in the key or read by an enrichment: they must not be"),
        ({"mask": {"postcode": None}}, "columns.mask: ['postcode'] are in the key or read by an enrichment"),
        ({"mask": {"id": {"first_n": 3}}}, "columns.mask: ['id'] are in the key: use hmac or sha256"),
        ({"mask": {"id": "keep_domain"}}, "columns.mask: ['id'] are in the key: use hmac or sha256"),
        ({"mask": {"a": "hmac"}}, "columns.mask.a: say where the key is: {hmac: {environment: <variable>}}"),
        ({"mask": {"a": "first_n"}}, "columns.mask.a: say how many characters to keep: {first_n: 3}"),
        ({"mask": {"a": {"hmac": {}}}}, "columns.mask.a.hmac: set exactly one of environment and connection"),
        ({"mask": {"a": "md5"}}, "columns.mask.a.md5: unknown setting"),
        ({"mask": {"a": {"sha256": True, "null": True}}}, "columns.mask.a: set exactly one of"),
        ({"new_columns": "drop"}, "columns.new_columns: "),
    ],
)
def test_a_selection_that_cannot_work_is_refused(complaint, columns, said):
    """Each mistake names its field; what the pipeline needs cannot be hidden."""
    assert said in complaint(columns=columns)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("a = 1; DELETE FROM people", "must be exactly one condition, without a semicolon"),
        ("a = 1;", "must be exactly one condition, without a semicolon"),
        ("a = 1 -- b", "comments are not allowed"),
        ("a = 1 /* b */", "comments are not allowed"),
        ("a = 1) OR (b = 2", "cannot be read as SQL"),
        ("", "must be exactly one condition"),
        ("id IN (SELECT id FROM other)", "(SELECT id FROM other) is not allowed"),
        ("EXISTS (SELECT 1)", "is not allowed"),
        ("count(*) > 1", "COUNT(*) is not allowed"),
        ("row_number() OVER () > 1", "is not allowed"),
        ("a > now()", "CURRENT_TIMESTAMP is not allowed"),
        ("a > current_date", "CURRENT_DATE is not allowed"),
        ("a > 'today'", "'today' may be a date that changes every day"),
        ("a > E'now'", "may be a date that changes every day"),
        ("random() < 0.5", "is not allowed"),
        ("a = current_user", "is not allowed"),
        ("a = $1", "is not allowed"),
        ("a = $$x$$", "is not allowed"),
        ("pg_sleep(1) IS NULL", "PG_SLEEP(1) is not allowed"),
        ("pg_read_file(a) = ''", "is not allowed"),
        ("set_config('a', 'b', false) = 'b'", "is not allowed"),
        ("nextval('s') > 1", "is not allowed"),
        ("people.a = 1", "write the column without a table"),
    ],
)
def test_a_filter_that_is_more_than_a_condition_is_refused(complaint, where, said):
    """One boolean expression over one row: no other statement, no subquery, nothing that changes without a write."""
    found = complaint(source=BASE["source"] | {"where": where})
    assert found.startswith("source.where: ")
    assert said in found


@pytest.mark.parametrize(
    "where",
    [
        "country = 'US' AND (age >= 18 OR age IS NULL)",
        "name = 'a;b' AND \"Odd;Name\" <> 'it''s'",
        "lower(trim(name)) LIKE 'a%' AND NOT deleted",
        "state IN ('CA', 'NY') AND amount BETWEEN 0 AND 1e6",
        "created_at >= TIMESTAMP '2024-01-01' AND extract(year FROM created_at) < 2030",
        "data ->> 'kind' = 'person' AND name ~ '^[a-z]+$' AND tag = ANY (ARRAY['a', 'b'])",
        "CASE WHEN a THEN b ELSE coalesce(c, false) END",
        "date_trunc('month', d) = DATE '2024-01-01' AND n % 2 = 0 AND n::text <> ''",
    ],
)
def test_ordinary_conditions_are_accepted(where):
    """Operators, CASE, casts and functions that depend on the row alone may be used."""
    source = BASE["source"] | {"where": where}
    assert Pipeline.model_validate(BASE | {"name": "people", "source": source}).source.where == where


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"rule": "not_null"}, "expect.0: set the column that is not_null"),
        ({"rule": {"expression": "a > 1"}}, "expect.0: set a name for the expression"),
        ({"column": "a", "rule": "positive"}, "expect.0.rule.positive: unknown setting"),
        ({"column": "a", "rule": {"in": []}}, "expect.0.rule.in: "),
        ({"column": "a", "rule": {"between": [1]}}, "expect.0.rule.between.1: "),
        ({"column": "a", "rule": {"matches": "("}}, "expect.0.rule.matches: '(' is no regular expression"),
        (
            {"name": "x", "rule": {"expression": "a > (SELECT 1)"}},
            "expect.0.rule.expression: (SELECT 1) is not allowed",
        ),
        ({"name": "x", "rule": {"expression": "read_text('f') = ''"}}, "is not allowed"),
        ({"column": "a", "rule": {"in": [1], "unique": True}}, "expect.0.rule: set exactly one of"),
        ({"column": "latitude", "rule": "unique"}, "unique is evaluated on columns of the source"),
        ({"column": "a", "rule": "not_null", "action": "drop"}, "expect.0.action: "),
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_refused(complaint, rule, said):
    """Each mistake names the rule by its place in the list."""
    assert said in complaint(expect=[rule])


def test_rules_need_names_of_their_own(complaint):
    """Two rules of one kind over one column would be counted together."""
    rules = [{"column": "a", "rule": {"in": [n]}} for n in (1, 2)]
    assert "several expectations are called ['a_in']: set a name for each" in complaint(expect=rules)


def test_a_rule_may_not_read_an_excluded_column(complaint):
    """What a rule reads must flow."""
    blocks = {"columns": {"exclude": ["a"]}, "expect": [{"column": "a", "rule": "not_null"}]}
    assert "columns.exclude names columns that the pipeline needs: ['a']" in complaint(**blocks)
