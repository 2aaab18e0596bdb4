"""What a pipeline file chooses for types: the settings `types` and `out_of_range`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from include.medallion.config.sections.enrichment import Name
from include.medallion.model.types.names import check_type

TypeSettings = dict[Name, Annotated[str, AfterValidator(check_type)]]
_Word = Literal["quarantine", "null", "clamp"]
_Choice = Annotated[
    _Word, BeforeValidator(lambda v: "null" if v is None else v, json_schema_input_type=_Word | None)
]  # YAML reads an unquoted null as no value
OutOfRangeSettings = Annotated[
    dict[Name, _Choice],
    BeforeValidator(
        lambda v: v if isinstance(v, dict) else {"default": v}, json_schema_input_type=_Choice | dict[Name, _Choice]
    ),
]
