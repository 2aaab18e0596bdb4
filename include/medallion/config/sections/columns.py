"""The `columns` section of a pipeline file: which columns of the source flow, masked how, and under which name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from include.medallion.config.sections.enrichment import Name, Settings

NewColumns = Literal["include", "ignore"]
DroppedColumns = Literal["keep", "drop"]


class HmacKey(Settings):
    """Where the key of an HMAC is; never the key itself."""

    environment: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] | None = Field(
        default=None, description="environment variable that holds the key"
    )
    connection: Name | None = Field(default=None, description="Airflow connection whose password is the key")

    @model_validator(mode="after")
    def _one_place(self) -> HmacKey:
        if (self.environment is None) == (self.connection is None):
            raise ValueError("set exactly one of environment and connection: where the key is, not the key")
        return self


class MaskSettings(Settings):
    """How the values of one column are masked: exactly one of the settings."""

    null: Literal[True] | None = Field(default=None, description="NULL; the column keeps its type")
    sha256: Literal[True] | None = Field(
        default=None, description="SHA-256 of the value's text, in hexadecimal; reversible by trying all values"
    )
    hmac: HmacKey | None = Field(default=None, description="HMAC-SHA-256 of the value's text, in hexadecimal")
    first_n: int | None = Field(default=None, ge=0, description="the first n characters of the value's text")
    keep_domain: Literal[True] | None = Field(
        default=None, description="what follows the last @ of an e-mail address; NULL if there is none"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> MaskSettings:
        if len(_given(self)) != 1:
            raise ValueError('set exactly one of "null", sha256, keep_domain, first_n and hmac')
        return self

    @property
    def kind(self) -> str:
        """The setting that is set."""
        return _given(self)[0]

    @property
    def keeps_rows_apart(self) -> bool:
        """Whether different values stay different, so that a masked key is still unique."""
        return self.kind in {"sha256", "hmac"}


def _given(settings: Settings) -> list[str]:
    """Return the names of the settings that have a value."""
    return [name for name in type(settings).model_fields if getattr(settings, name) is not None]


def _as_mapping(value: object) -> object:
    """Read `email: sha256` as `email: {sha256: true}`; YAML reads an unquoted null as no value."""
    if value == "first_n":
        raise ValueError("say how many characters to keep: {first_n: 3}")
    if value == "hmac":
        raise ValueError("say where the key is: {hmac: {environment: <variable>}} or {hmac: {connection: <id>}}")
    return {str(value or "null"): True} if value is None or isinstance(value, str) else value


Mask = Annotated[
    MaskSettings,
    BeforeValidator(_as_mapping, json_schema_input_type=MaskSettings | Literal["null", "sha256", "keep_domain"] | None),
]


class ColumnSettings(Settings):
    """The columns of the source that reach the sinks. Names are those of the source."""

    include: list[Name] | None = Field(
        default=None, min_length=1, description="the only columns that flow; default: all of them"
    )
    exclude: list[Name] = Field(default=[], description="columns that must not leave the source")
    new_columns: NewColumns = Field(
        default="include", description="whether columns flow that the source gets after the first run"
    )
    dropped_columns: DroppedColumns = Field(
        default="keep", description="whether the sinks keep a column that the source has dropped, NULL in new rows"
    )
    mask: dict[Name, Mask] = Field(default={}, description="how values are masked before anything is staged, by column")
    rename: dict[Name, Name] = Field(default={}, description="name in the sinks, by the name in the source")

    @model_validator(mode="after")
    def _one_selection(self) -> ColumnSettings:
        if self.include is not None and self.exclude:
            raise ValueError("include and exclude are mutually exclusive: a column that is not included is excluded")
        if absent := [name for name in (*self.mask, *self.rename) if not self.selects(name)]:
            raise ValueError(f"mask and rename name columns that do not flow: {sorted({*absent})}")
        if repeated := _repeated(self.rename.values()):
            raise ValueError(f"rename gives {repeated} to several columns")
        return self

    def selects(self, name: str) -> bool:
        """Return whether a column of the source flows."""
        return name in self.include if self.include is not None else name not in self.exclude

    def sink_name(self, name: str) -> str:
        """Return the name that a column of the source has in the sinks."""
        return self.rename.get(name, name)

    def source_name(self, name: str) -> str:
        """Return the name in the source of a column that the sinks know as `name`."""
        return next((source for source, sink in self.rename.items() if sink == name), name)

    @property
    def named(self) -> set[str]:
        """The columns that are named."""
        return {*(self.include or ()), *self.exclude, *self.mask, *self.rename}

    def check_used(self, key: Iterable[str], enrichments: Iterable[str], rules: Iterable[str]) -> None:
        """
        Check that the columns that the pipeline uses flow, with values that it can use.

        Args:
            key: columns of the primary key, by their name in the source.
            enrichments, rules: columns that enrichments and expectations read, by their name in the sinks.

        Raises:
            ValueError: names the columns and the setting.
        """
        keys, inputs = {*key}, {self.source_name(name) for name in enrichments}
        used = keys | inputs | {self.source_name(name) for name in rules}
        if missing := sorted(name for name in used if not self.selects(name)):
            setting = "columns.include lacks" if self.include is not None else "columns.exclude names"
            raise ValueError(f"{setting} columns that the pipeline needs: {missing}")
        if unknown := sorted({*enrichments, *rules} & self._former_names()):
            raise ValueError(f"columns.rename renames {unknown}: use the new names in enrich and expect")
        if empty := sorted(name for name in keys | inputs if name in self.mask and self.mask[name].kind == "null"):
            raise ValueError(f"columns.mask: {empty} are in the key or read by an enrichment: they must not be null")
        if joined := sorted(name for name in keys & self.mask.keys() if not self.mask[name].keeps_rows_apart):
            raise ValueError(f"columns.mask: {joined} are in the key: use hmac or sha256, which keep it unique")

    def _former_names(self) -> set[str]:
        return self.rename.keys() - {*self.rename.values()}


def _repeated(names: Iterable[Any]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
