"""What the demo's farm and its day are like, in the words of the simulators' command lines."""

from __future__ import annotations

from dataclasses import dataclass

SURPLUS_DAY = "surplus_day_demo"
COLD_C = 10.0
"""Where air that gets warmer begins: 30 C above it the machines draw 7 % more (simulators/physics.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything that is not the controller's to choose."""

    mix: str | None = None
    """model=weight,model=weight of `farmsim world`; None: its own."""
    trace: str = SURPLUS_DAY
    """A CSV file or the name of a shipped trace; played over and over."""
    report_error: float | None = None
    """Share by which devices report less than they draw; None: the simulators' own."""
    warming_c: float = 0.0
    """How much warmer the air gets in the time of the demo."""
    meter_lost_s: float | None = None
    """So long after the first order the site meter is gone for good; None: never."""

    def world_words(self) -> list[str]:
        """Arguments of `farmsim world`."""
        return [] if self.mix is None else ["--mix", self.mix]

    def farm_words(self, for_s: float | None) -> list[str]:
        """Arguments of `farmsim run`; air gets warmer only in a demo that ends."""
        words = [] if self.report_error is None else ["--report-error", str(self.report_error)]
        if self.warming_c and for_s is not None:
            words += ["--ambient-c", str(COLD_C), "--warming-c", str(self.warming_c), "--warming-s", f"{for_s:.0f}"]
        return words
