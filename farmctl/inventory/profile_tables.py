"""The tables of a profile file; every number must say where it comes from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(strict=True, gt=0)]
Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class _Sourced(_Table):
    """A table whose numbers have sources."""

    source: dict[str, Text]
    """Key -> where its number comes from; one entry for every number of the table."""

    @model_validator(mode="after")
    def _every_number_has_a_source(self) -> Self:
        unsaid = {name for name in type(self).model_fields if getattr(self, name) is None}
        told = set(type(self).model_fields) - {"source", "match", "model"} - unsaid
        if set(self.source) != told:
            wrong = ", ".join(sorted(told ^ set(self.source)))
            raise ValueError(f"source: expected exactly {', '.join(sorted(told))}; wrong about {wrong}")
        return self


class Steps(_Table):
    """Whole percents from the lowest to the highest, both included."""

    lowest: Annotated[int, Field(strict=True, ge=1, le=99)]
    highest: Annotated[int, Field(strict=True, ge=1, le=99)]
    step: Annotated[int, Field(strict=True, ge=1, le=50)]
    of: Literal["power", "hash_rate"] = "power"
    """What the firmware takes the percent of."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError(f"expected lowest at most highest, got {self.lowest} and {self.highest}")
        return self

    def numbers(self) -> range:
        """Every percent."""
        return range(self.lowest, self.highest + 1, self.step)


class Controls(_Table):
    """What the firmware can do besides sleep and full."""

    percent: Steps | None = None
    """A percent command."""
    watts: Steps | None = None
    """A watt command, at these percents of full watts."""
    modes: dict[str, Annotated[float, Field(strict=True, gt=0, lt=1)]] = Field(default_factory=dict)
    """Named modes and their share of full watts."""


class ModelTable(_Sourced):
    """One machine: what it draws and delivers at full."""

    match: Text
    """Glob over the model as the driver reports it; case does not matter, the most literal match wins."""
    full_w: Positive
    """Nominal draw at the plug, W."""
    full_ths: Positive
    """Nominal hash rate, TH/s."""
    limit_c: Positive | None = None
    """Heat at which the machine protects itself, by the sensor that its driver reads as the hottest, °C."""


class FirmwareTable(_Sourced):
    """How a family of firmware moves a machine."""

    match: Text = "*"
    """Glob over the firmware as the driver reports it."""
    model: Text = "*"
    """Glob over the models it holds for."""
    sleep_w: Positive
    """Draw asleep, W."""
    down_s: Positive
    """Seconds from the sleep command to standby."""
    up_s: Positive
    """Seconds from the wake command to full."""
    trim_s: Positive
    """Seconds between two awake points."""
    hash_exponent: Annotated[float, Field(strict=True, gt=0, le=1.5)]
    """Share of hash rate = share of power ** this; below 1 a throttled machine is more efficient."""
    controls: Controls = Controls()
    """Points between sleep and full."""


class ProfileFile(_Table):
    """One driver's machines and firmware."""

    driver: Text
    """Name of the driver; * stands for every driver without a file of its own."""
    models_of: str | None = None
    """Another driver whose machines these are, under other firmware."""
    watts_pm_pct: Annotated[float, Field(strict=True, gt=0, le=50)] | None = None
    """How far the draw of one unit may lie from these watts, %; for drivers whose machines measure none."""
    watts_pm_source: Text | None = None
    """Where that number comes from."""
    limit_c: Annotated[float, Field(strict=True, gt=0, le=150)] | None = None
    """Heat at which this firmware protects its machines, by the sensor that the driver reads as the hottest, °C."""
    limit_source: Text | None = None
    """Where that number comes from."""
    model: tuple[ModelTable, ...] = ()
    firmware: tuple[FirmwareTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _the_numbers_of_the_file_have_sources(self) -> Self:
        if (self.watts_pm_pct is None) != (self.watts_pm_source is None):
            raise ValueError("watts_pm_pct: expected it together with watts_pm_source")
        if (self.limit_c is None) != (self.limit_source is None):
            raise ValueError("limit_c: expected it together with limit_source")
        return self
