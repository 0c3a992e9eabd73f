"""Plays the list and writes the certificate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from farmctl.errors import SilentPeerError
from farmctl.signals.kit.certify import load, talk
from farmctl.signals.kit.certify.stage import OURS, Allowance, BrokenRuleError, NotTriedError, Stage
from farmctl.signals.kit.console import Console

Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: tuple[tuple[str, str, Scenario], ...] = (
    ("presence", "2, 6", talk.presence),
    ("telemetry", "6", talk.telemetry),
    ("link", "3.4, 7", talk.link),
    ("refusals", "3.2", talk.refusals),
    ("forgeries", "8", talk.forgeries),
    ("key-rotation", "8", talk.rotation),
    ("replays", "3.2, 8", talk.replays),
    ("empty-retained", "2", talk.emptiness),
    ("schedule", "5", talk.plans),
    ("test-event", "4.9", talk.rehearsal),
    ("limit", "4.1, 5", load.limit),
    ("setpoint", "4.2, 4.4", load.setpoint),
    ("emergency", "4.5, 4.6", load.emergency),
    ("silence", "7", load.silence),
    ("signed-acks", "6, 8", talk.signatures),
)
"""Name, sections of SIGNALS, and what is played; in this order, `link` first of all that speak."""
CHANNELS = 4
"""status, state and capability are retained; telemetry comes every 2 s."""
FIRST_WORD_S = 6.0
ALWAYS = frozenset({"link"})
"""Without it no other scenario means anything."""


class Result(StrEnum):
    """What became of one scenario."""

    OK = "pass"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the certificate."""

    scenario: str
    sections: str
    result: Result
    measured: dict[str, float]
    took_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a run has shown."""

    site: str
    op: str
    signed: bool
    rows: tuple[Row, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Nothing failed, and something passed."""
        results = {row.result for row in self.rows}
        return Result.FAIL not in results and Result.OK in results


async def certify(
    console: Console,
    *,
    programme: str,
    allow: Allowance | None = None,
    only: Collection[str] = (),
    site_key: bytes | None = None,
    told: Callable[[Row], None] = lambda _row: None,
) -> Certificate:
    """Play every scenario, or those named; a failed `link` ends the run, for nothing after it means anything."""
    rows: list[Row] = []
    await console.until(lambda: len(console.heard.latest) >= CHANNELS, FIRST_WORD_S)  # `presence` judges what came
    for name, sections, scenario in SCENARIOS:
        if only and name not in only and name not in ALWAYS:
            continue
        stage = Stage(console=console, allow=allow or Allowance(), programme=programme, site_key=site_key)
        row = await _played(name, sections, scenario, stage)
        rows.append(row)
        told(row)
        if row.result is Result.FAIL and name in ALWAYS:
            break
        await _cleared(console)
    return Certificate(
        site=console.voice.site, op=console.voice.op, signed=console.voice.seed is not None, rows=tuple(rows)
    )


async def _played(name: str, sections: str, scenario: Scenario, stage: Stage) -> Row:
    started_ms = stage.console.clock.now_ms()
    result, detail = Result.OK, ""
    try:
        await scenario(stage)
    except BrokenRuleError as broken:
        result, detail = Result.FAIL, str(broken)
    except NotTriedError as why:
        result, detail = Result.SKIPPED, str(why)
    except SilentPeerError as gone:
        result, detail = Result.FAIL, f"the broker: {gone}"
    took_s = (stage.console.clock.now_ms() - started_ms) / 1_000
    return Row(
        scenario=name,
        sections=sections,
        result=result,
        measured=stage.measured,
        took_s=round(took_s, 1),
        detail=detail,
    )


async def _cleared(console: Console) -> None:
    """Nothing of a scenario outlives it, passed or failed."""
    for event_id, body in list(console.book.live.items()):
        if not event_id.startswith(OURS):
            continue
        await console.withdraw(event_id, release=body["x-farmctl"]["class"] == "EMERGENCY")
