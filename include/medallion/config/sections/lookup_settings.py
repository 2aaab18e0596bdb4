"""What all look-ups have: names, and the settings of rate limit, retries, budgets and time-to-live."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=63)]
_one_name = BeforeValidator(lambda v: [v] if isinstance(v, str) else v, json_schema_input_type=Name | list[Name])
Names = Annotated[list[Name], _one_name, Field(min_length=1)]
FunctionPath = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
_LONGEST_MONTH = 31  # days
Expire = Literal["null_out", "keep"]


class Settings(BaseModel):
    """A mapping in the file; an unknown setting is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LookupSettings(Settings):
    """Rate limit, concurrency, retries, circuit breaker, call budgets and time-to-live of an enrichment's look-ups."""

    calls_per_second: float | None = Field(
        default=None, gt=0, description="rate limit of the whole deployment; default: unlimited"
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="calls in flight in one mapped task")
    max_attempts: int = Field(default=5, ge=1, description="attempts for one call before the task is retried")
    max_consecutive_failures: int = Field(
        default=20,
        ge=1,
        description="circuit breaker: failed calls in a row, over all keys, before the task is retried",
    )
    max_calls_per_run: int | None = Field(
        default=None, ge=0, description="call budget of one run; rows over it arrive as PENDING"
    )
    max_calls_per_day: int | None = Field(
        default=None, ge=0, description="call budget of a UTC day, shared by all pipelines that use this provider"
    )
    max_calls_per_month: int | None = Field(
        default=None, ge=0, description="call budget of a calendar month (UTC), shared like that of a day"
    )
    free_per_month: int = Field(
        default=0, ge=0, description="calls of a calendar month that the provider does not bill; for the reported cost"
    )
    price_per_1000: float | None = Field(
        default=None, ge=0, description="US dollars for 1000 calls; default: the list price"
    )
    keep_days: float = Field(default=30, gt=0, description="time-to-live of a result, in days")
    expire: Expire = Field(
        default="null_out", description="what a refresh does with an expired result that it cannot renew"
    )

    @property
    def budgets(self) -> tuple[int, ...]:
        """The call budgets that are set."""
        every = (self.max_calls_per_run, self.max_calls_per_day, self.max_calls_per_month)
        return tuple(budget for budget in every if budget is not None)

    @property
    def calls_per_day(self) -> float | None:
        """What one refresh a day may call on average; None without a budget."""
        month = None if self.max_calls_per_month is None else self.max_calls_per_month / _LONGEST_MONTH
        limits = (self.max_calls_per_run, self.max_calls_per_day, month)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def has_budget(self) -> bool:
        """Whether calls are bounded by number."""
        return bool(self.budgets)
