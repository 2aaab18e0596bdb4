"""The `expect` section of a pipeline file: rules that rows are expected to meet, and what happens if they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from include.medallion.config.checks.expressions import check_condition, columns_of
from include.medallion.config.sections.enrichment import Name, Settings

Value = StrictBool | StrictInt | StrictFloat | datetime | date | StrictStr
Consequence = Literal["warn", "quarantine", "fail"]


def _check_regex(pattern: str) -> str:
    import pyarrow as pa  # noqa: PLC0415 (only files with such a rule need it)
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as e:
        raise ValueError(f"{pattern!r} is no regular expression that RE2 reads: {e}") from None
    return pattern


class Rule(Settings):
    """What the values of a column have to be: exactly one of the settings. NULL meets every rule but not_null."""

    not_null: Literal[True] | None = Field(default=None, description="no value is NULL")
    unique: Literal[True] | None = Field(default=None, description="no value occurs twice among the rows of one run")
    in_: list[Value] | None = Field(default=None, alias="in", min_length=1, description="one of these values")
    between: tuple[Value, Value] | None = Field(default=None, description="from the first to the second, both included")
    matches: Annotated[str, AfterValidator(_check_regex)] | None = Field(
        default=None, description="the whole text matches this regular expression (RE2)"
    )
    expression: Annotated[str, AfterValidator(lambda v: check_condition(v, "duckdb"))] | None = Field(
        default=None, description="SQL condition over the columns of the sinks, as DuckDB reads it"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Rule:
        if len(self._given) != 1:
            raise ValueError("set exactly one of not_null, unique, in, between, matches and expression")
        return self

    @property
    def kind(self) -> str:
        """The setting that is set."""
        return self._given[0].rstrip("_")

    @property
    def _given(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


_one_word = BeforeValidator(
    lambda v: {v: True} if isinstance(v, str) else v,
    json_schema_input_type=Rule | Literal["not_null", "unique"],
)


class Expectation(Settings):
    """One rule, and what happens to a row that does not meet it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)] | None = Field(
        default=None, description="name in summaries and in the quarantine; default: <column>_<rule>"
    )
    column: Name | None = Field(default=None, description="column of the sinks; an expression names its own")
    rule: Annotated[Rule, _one_word]
    action: Consequence = Field(
        default="quarantine",
        description="warn counts the rows, quarantine sets them aside, fail stops the run before any sink is written",
    )

    @model_validator(mode="after")
    def _has_column_or_name(self) -> Expectation:
        if self.column is None and self.rule.expression is None:
            raise ValueError(f"set the column that is {self.rule.kind}")
        if self.column is None and self.name is None:
            raise ValueError("set a name for the expression: summaries and the quarantine report it")
        return self

    @property
    def label(self) -> str:
        """Its name in summaries, and the reason of quarantined rows."""
        return self.name or f"{self.column}_{self.rule.kind}"

    @property
    def columns(self) -> list[str]:
        """Columns that the rule reads."""
        own = [self.column] if self.column is not None else []
        return own if self.rule.expression is None else columns_of(self.rule.expression, "duckdb")


def check_expectations(expectations: Sequence[Expectation], added: Collection[str]) -> None:
    """
    Check the expectations of a pipeline.

    Args:
        added: columns that enrichments add.

    Raises:
        ValueError: two have one name, or a column that an enrichment adds is to be unique: another task may add it.
    """
    counts = Counter(expectation.label for expectation in expectations)
    if repeated := sorted(label for label, count in counts.items() if count > 1):
        raise ValueError(f"several expectations are called {repeated}: set a name for each")
    if computed := [e.column for e in expectations if e.rule.unique and e.column in added]:
        raise ValueError(f"unique is evaluated on columns of the source: {computed} are added by enrichments")
