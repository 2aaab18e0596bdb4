"""
Write the generated pages of the documentation: `python docs/generate.py`; with `--check`, only compare.

A test runs the comparison, so that the pages never differ from the code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import settings_reference  # noqa: E402 (the path first)
import types_reference  # noqa: E402

from include.medallion.config.defaults import defaults_schema  # noqa: E402
from include.medallion.config.files import json_schema  # noqa: E402
from include.medallion.model.schema.changes import ACTIONS, Action, Kind  # noqa: E402 (the path first)
from tests.integration.schema_cases import CASES  # noqa: E402

WORDS = {
    Action.NOTHING: "nothing",
    Action.ADD_COLUMN: "add the column",
    Action.RELOAD: "read all rows again",
    Action.REPLACE: "replace the table",
}
EXAMPLES = {
    Kind.ADDED: "`ADD COLUMN c text`",
    Kind.ADDED_WITH_VALUE: "`ADD COLUMN c text DEFAULT 'x'`, a generated column",
    Kind.RENAMED: "`RENAME b TO c`",
    Kind.DROPPED: "`DROP COLUMN b`",
    Kind.RECREATED: "`DROP COLUMN b`, then `ADD COLUMN b ...`",
    Kind.WIDENED: "`int` to `bigint`, `numeric(10,2)` to `numeric(12,4)`",
    Kind.NARROWED: "`bigint` to `int`, `numeric(12,4)` to `numeric(10,2)`",
    Kind.RETYPED: "`int` to `text`, `numeric(10,2)` to `numeric`",
    Kind.LABELS: "`ALTER TYPE mood RENAME VALUE ...`, attributes of a composite type",
    Kind.EXPRESSION: "`ALTER COLUMN c SET EXPRESSION ...`",
    Kind.KEY: "another `source.key` in the pipeline file, other labels of one of its columns",
    Kind.SELECTED: "a column is excluded no longer",
    Kind.EXCLUDED: "a column is excluded or masked now",
    Kind.SETTINGS: "another setting that decides values",
    Kind.OUT_OF_RANGE: "another `out_of_range` for a column",
    Kind.ENRICHMENT: "an enrichment adds further columns",
}


def schema_changes() -> str:
    """Return the page with what each kind of schema change means."""
    lines = [
        "# Schema changes",
        "",
        "Generated from `include/medallion/model/schema/changes.py` by `docs/generate.py`.",
        "",
        "Every run compares the schema of the source with the schema that each sink's position names. Columns are",
        "followed by their number in PostgreSQL's catalog, so a rename differs from a drop and an add. The strongest",
        "action that a sink needs decides what the run reads:",
        "",
        "- **nothing**: rows written from now on have the new schema; a dropped column is NULL in them. Medallion",
        "  remembers its name: a later column of that name replaces the table, so that no row shows an old value.",
        "  `columns.dropped_columns: drop` replaces the table instead of keeping the column.",
        "- **add the column**: nullable; rows that exist already are right without a value.",
        "- **read all rows again**: all rows are applied through the fence. Rows that were deleted in the source stay",
        "  marked. Cached look-ups are not billed again.",
        "- **replace the table**: like a full refresh, in one commit for each sink, with the columns and types of the",
        "  source. Grants are kept. Rows that were deleted in the source are gone afterwards.",
        "",
        "Above `max_reload_rows` (10,000,000) the last two ask first: trigger the DAG with `approve_schema_change`,",
        "or approve the change [in Airflow](operations.md#approve-in-airflow).",
        "",
        "## Policy",
        "",
        "`on_schema_change: evolve` (default), `freeze` or `fail`, or one for each kind:",
        "",
        "```yaml",
        "on_schema_change:",
        "  default: evolve",
        "  renamed: fail",
        "  added: freeze",
        "```",
        "",
        "- **evolve** does what the table says.",
        "- **freeze** keeps the sinks' columns: new ones do not flow, renamed ones keep their name, and the summary",
        "  reports both. A column whose type changed cannot be frozen: the run stops.",
        "- **fail** stops before anything is written. The message shows the change and the options.",
        "",
        "Changes in the pipeline file itself (`key`, `selected`, `excluded`, `settings`, `out_of_range`,",
        "`enrichment`) evolve unless their kind is named.",
        "",
        "## Change, sink, action",
        "",
        "| kind | for example | silver | gold | other sinks |",
        "|---|---|---|---|---|",
    ]
    for kind, actions in ACTIONS.items():
        words = [WORDS[actions[sink]] for sink in ("silver", "gold", "other")]
        lines.append(f"| `{kind}` | {EXAMPLES[kind]} | {' | '.join(words)} |")
    return "\n".join([*lines, *_proof()]) + "\n"


def _proof() -> list[str]:
    """Return the table of what is proved about each change."""
    lines = [
        "",
        "## What each operation does after a change",
        "",
        "[test_schema_changes.py](../tests/integration/test_schema_changes.py) makes each of these changes in a",
        "table with rows that are left alone, updated, inserted, and deleted and inserted again, and compares all",
        "values of source, Silver and Gold after each operation. A full refresh always replaces the tables. An older",
        "batch is one that was staged before the change. It is applied in the new schema, where the fence lets its",
        "rows pass; or refused before anything is written; or removed, with all values that must not be kept.",
        "[test_any_history.py](../tests/integration/test_any_history.py) draws such changes at random, between and",
        "during the steps of runs that are killed, replayed, raced and reconciled.",
        "",
        "| change | kind | the next run | an older batch is | a reconcile before that run |",
        "|---|---|---|---|---|",
    ]
    for change, case in CASES.items():
        kind = f"`{case.kind}`" if case.kind else "none"
        lines.append(f"| {change} | {kind} | {case.window} | {case.replay} | {case.reconcile} |")
    return lines


PAGES: dict[str, Callable[[], str]] = {
    "schema-changes.md": schema_changes,
    "pipeline.schema.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
    "defaults.schema.json": lambda: json.dumps(defaults_schema(), indent=2) + "\n",
    "settings.md": lambda: settings_reference.page(json_schema()),
    "types.md": types_reference.page,
}


def main() -> int:
    """Write the pages, or with `--check` return 1 if one differs."""
    differing = [name for name, page in PAGES.items() if not _is_current(name, page())]
    if "--check" in sys.argv:
        print(*(f"docs/{name} differs from the code: run python docs/generate.py" for name in differing), sep="\n")
        return int(bool(differing))
    for name in differing:
        (DOCS / name).write_text(PAGES[name](), "utf-8")
        print(f"wrote docs/{name}")
    return 0


def _is_current(name: str, text: str) -> bool:
    file = DOCS / name
    return file.exists() and file.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
