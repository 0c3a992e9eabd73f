"""Orders under way: how much of the power has moved, as the meter says, and how many miners have followed."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

import numpy as np

from farmctl.control.scope import SITE, Scope
from farmctl.control.strip import rev_of
from farmctl.control.wire import Json, iso
from farmctl.core.memory import Standing
from farmctl.core.units import MS_PER_S, WATTS_PER_MW, to_kw
from farmctl.ports.control import By, SitePicture

KEPT = 1_000
RESTARTED = "the controller was restarted before its answer was known"


class JobState(StrEnum):
    """How far an order has got; done means measured."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """What an order does miner by miner, besides power; filled while it runs."""

    total: int
    ok: int = 0
    failed: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    """Why some failed, and how many for each reason."""

    @property
    def pending(self) -> int:
        """Miners that have not answered yet."""
        return self.total - self.ok - self.failed

    def note(self, why: str) -> None:
        """One miner is through; `why` is empty where it said yes."""
        if why:
            self.failed += 1
            self.by_reason[why] = self.by_reason.get(why, 0) + 1
        else:
            self.ok += 1

    def give_up(self, why: str) -> None:
        """Nobody will hear of those that have not answered."""
        left, self.failed = self.pending, self.total - self.ok
        if left:
            self.by_reason[why] = self.by_reason.get(why, 0) + left

    def told(self) -> Json:
        """As the API shows progress."""
        return {
            "asked_kw": None, "moved_kw": None, "total": self.total, "ok": self.ok, "failed": self.failed,
            "pending": self.pending, "by_reason": dict(self.by_reason),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One order that was taken."""

    job_id: str
    verb: str
    owner: str
    reason: str
    at_ms: int
    rev: int
    """Revision of the picture when it was taken; later ones show its effect."""
    from_w: float
    """What the site drew then; NaN before the first picture."""
    moves_power: bool
    scope: Scope = SITE
    override_id: str | None = None
    """The override that it set; None for any other order."""
    cancelled: bool = False
    by: By | None = None
    """For the journal, when it has ended."""
    work: Work | None = None
    """Set where it is about miners, not about power."""


class JobBook:
    """The last orders, newest last."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._open: dict[str, Job] = {}

    def add(self, job: Job, *, is_open: bool = True) -> None:
        """Remember one; `is_open` while its end has not been noted."""
        self._jobs[job.job_id] = job
        if is_open:
            self._open[job.job_id] = job
        while len(self._jobs) > KEPT:
            self._open.pop(self._jobs.popitem(last=False)[0], None)

    @property
    def open(self) -> tuple[Job, ...]:
        """Those whose end has not been noted, oldest first."""
        return tuple(self._jobs[job_id] for job_id in self._open)

    def close(self, job_id: str) -> None:
        """Its end has been noted."""
        self._open.pop(job_id, None)

    def get(self, job_id: str) -> Job | None:
        """One by its id."""
        return self._jobs.get(job_id)

    def cancel(self, job_id: str) -> None:
        """Note that one was taken back."""
        self._jobs[job_id] = replace(self._jobs[job_id], cancelled=True)

    def latest(self, since_ms: int, most: int) -> list[Job]:
        """The newest ones, newest first."""
        recent = islice(reversed(self._jobs.values()), most)
        return [job for job in recent if job.at_ms >= since_ms]

    def superseded(self, job: Job) -> bool:
        """A newer order about the power of the same circuit, or of the whole site, was taken."""
        same = (other for other in reversed(self._jobs.values()) if other.moves_power and other.scope == job.scope)
        newest = next(same, job)
        return job.moves_power and newest is not job


def told(job: Job, picture: SitePicture | None, now_ms: int, *, superseded: bool) -> Json:
    """A job with its progress out of the latest picture."""
    known = {
        "id": job.job_id,
        "verb": job.verb,
        "owner": job.owner,
        "reason": job.reason,
        "at": iso(job.at_ms),
        "elapsed_s": round((now_ms - job.at_ms) / MS_PER_S, 1),
    }
    if job.cancelled:
        return {**known, "state": JobState.CANCELLED.value, "text": "taken back", "progress": None}
    if job.work is not None:
        return {**known, **_worked(job.work)}
    if picture is None or rev_of(picture) <= job.rev:
        return {**known, "state": JobState.WAITING.value, "text": "waits for the next cycle", "progress": None}
    if not job.moves_power:
        return {**known, "state": JobState.DONE.value, "text": "in force", "progress": None}
    progress = _progress(job, picture)
    state = JobState.SUPERSEDED if superseded else _state(progress)
    verb = "shed" if progress.asked_w >= 0 else "taken on"
    moved_mw, asked_mw = (abs(watts) / WATTS_PER_MW for watts in (progress.moved_w, progress.asked_w))
    text = f"{moved_mw:.3f} of {asked_mw:.3f} MW {verb}, T+{(now_ms - job.at_ms) // MS_PER_S} s"
    if progress.failed:
        text += f", {progress.failed} of {progress.total} miners did not follow"
    return {**known, "state": state.value, "text": text, "progress": progress.told()}


ENDED = frozenset({JobState.DONE, JobState.PARTIAL, JobState.SUPERSEDED, JobState.CANCELLED})


def _worked(work: Work) -> Json:
    """All skipped is no success: an order that reached nobody is partial (OPERATIONS section 10)."""
    state = JobState.RUNNING
    if not work.pending:
        state = JobState.PARTIAL if work.failed or not work.total else JobState.DONE
    return {"state": state.value, "text": f"{work.ok} of {work.total} miners", "progress": work.told()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    asked_w: float
    """Power to give up; negative: to take on."""
    moved_w: float
    left_w: float
    band_w: float
    total: int
    ok: int
    failed: int
    pending: int

    def told(self) -> Json:
        return {
            "asked_kw": to_kw(self.asked_w),
            "moved_kw": to_kw(self.moved_w),
            "total": self.total,
            "ok": self.ok,
            "failed": self.failed,
            "pending": self.pending,
        }


def drawn_w(picture: SitePicture, scope: Scope) -> float:
    """What the miners of a scope draw, W; the whole site by its meter."""
    if scope.is_site:
        return picture.decision.site.power_w
    return float(picture.decision.seen.power_now_w[scope.rows(picture.view)].sum())


def _progress(job: Job, picture: SitePicture) -> _Progress:
    view, decision, rows = picture.view, picture.decision, picture.memory.rows
    planned_w, power_w = decision.allocation.planned_w, drawn_w(picture, job.scope)
    mine = rows.commanded_ms >= job.at_ms
    if not job.scope.is_site:
        inside = job.scope.rows(view)
        mine &= inside
        planned_w = float(decision.allocation.plan_w[inside].sum())
    failed = mine & (rows.standing == Standing.GAVE_UP)
    pending = mine & (rows.standing == Standing.PENDING)
    from_w = job.from_w if math.isfinite(job.from_w) else power_w
    rising = planned_w > from_w
    goal_w = decision.budget.target_w if rising and job.scope.is_site else planned_w
    return _Progress(
        asked_w=from_w - goal_w,
        moved_w=from_w - power_w,
        left_w=abs(power_w - goal_w),
        band_w=view.rules.tolerance_fraction * max(from_w, goal_w, 1.0),
        total=int(mine.sum()),
        ok=int((mine & (rows.standing == Standing.SETTLED)).sum()),
        failed=int(failed.sum()),
        pending=int(np.count_nonzero(pending)),
    )


def _state(progress: _Progress) -> JobState:
    if progress.pending:
        return JobState.RUNNING
    if progress.failed:
        return JobState.PARTIAL
    return JobState.DONE if progress.left_w <= progress.band_w else JobState.RUNNING
