"""A synthetic site behind the Feed port: any number of miners, so many changing rows a second, no controller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from typing_extensions import override

from farmctl.core.units import IntColumn, MaskColumn
from farmctl.errors import RefusedError
from farmctl.ports.feed import (
    AlarmView,
    CircuitView,
    ContainerView,
    EventView,
    Feed,
    FleetImage,
    JobView,
    LeaseView,
    LinkState,
    OverrideView,
    ReachView,
    SiteMovedError,
    StripView,
    Words,
)

START_MS = 1_795_510_800_000
PER_CONTAINER = 250
PER_RACK = 25
STATES = ("hashing", "throttled", "curtailed", "booting", "fault", "offline", "unknown")
MODELS = ("M60S", "M50S", "S21", "S19j Pro", "S19 XP")
HZ = 2.0


class SyntheticFeed(Feed):
    """Images at 2 Hz; answers to questions are given by `answers`, and every order is kept in `asked`."""

    def __init__(self, miners: int, *, changing_per_s: int = 0, seed: int = 7, role: str = "operator") -> None:
        self.asked: list[tuple[str, str, Mapping[str, object] | None]] = []
        self.confirm: str | None = None
        """The name that a change takes; an order without it is refused, as the controller does."""
        self.jobs: tuple[JobView, ...] = ()
        self.alarms: tuple[AlarmView, ...] = some_alarms()
        self.overrides: tuple[OverrideView, ...] = ()
        self.reach: tuple[ReachView, ...] = ()
        self.lease: LeaseView | None = None
        self.programme: Mapping[str, Any] | None = None
        """What `GET /v1/sites` answers; None: this is a site with miners of its own."""
        self.told_at_s: list[float] = []
        self._role = role
        self._per_image = int(changing_per_s / HZ)
        self._dice = np.random.default_rng(seed)
        self._on_image: Callable[[FleetImage], None] | None = None
        self._on_link: Callable[[LinkState], None] | None = None
        self._made = _columns(miners, self._dice)
        self.rev = 1_000
        self.at_ms = START_MS

    @property
    def orders(self) -> list[tuple[str, str, Mapping[str, object] | None]]:
        """What would have changed something: every question but GET and dry runs."""
        return [(m, p, b) for m, p, b in self.asked if m != "GET" and not (b or {}).get("dry_run")]

    @override
    async def run(self, on_image: Callable[[FleetImage], None], on_link: Callable[[LinkState], None]) -> None:
        self._on_image, self._on_link = on_image, on_link
        on_link(LinkState(up=True, age_s=0.0, attempt=0, why=""))
        on_image(self.image(None))
        while True:
            await asyncio.sleep(1.0 / HZ if self._per_image else 3_600.0)
            self.at_ms += int(1_000 / HZ)
            on_image(self.image(self.change(self._per_image)))

    @override
    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        self.asked.append((method, path, body))
        if path == "/v1/whoami":
            return {"uid": 1000, "name": "operator1", "role": self._role}
        if body is not None and body.get("dry_run") and body.get("selector") and body["verb"] != "set_power":
            ids = str(body["selector"]).removeprefix("id=").split(",")
            return {"plan": {"rev": self.rev, "sent": False, "total": len(ids), "power_kw": 3.4, "examples": ids}}
        if body is not None and body.get("dry_run"):
            return {"plan": plan(self.rev, self.confirm)}
        params = {} if body is None else body.get("params")
        if self.confirm and isinstance(params, Mapping) and params.get("confirm") != self.confirm:
            raise SiteMovedError(f"expected params.confirm to be the site's name, {self.confirm}")
        answers = ANSWERS if self.programme is None else {**ANSWERS, "/v1/sites": self.programme}
        if path in answers:
            return dict(answers[path])
        if path.startswith("/v1/history"):
            raise RefusedError("no history is kept here")
        if path.startswith("/v1/miners/"):
            return {"id": path.split("/")[3], "reason": "PRICE_HIGH", "help": "shed by price", "locks": []}
        return {"job": "job-1", "rev": self.rev}

    @override
    def matching(self, image: FleetImage, text: str) -> MaskColumn:
        mask = np.ones(len(image.ids), dtype=np.bool_)
        for term in text.split():
            field, sign, value = term.partition("=")
            name = {"cont": "container"}.get(field, field)
            if not sign or name not in image.words:
                raise RefusedError(f"filter {term!r}: expected FIELD=VALUE of {', '.join(sorted(image.words))}")
            mask &= image.words[name].where(value)
        return mask

    def push(self, changed: IntColumn | None = None) -> None:
        """Tell an image now."""
        if self._on_image is not None:
            self._on_image(self.image(changed))

    def link(self, link: LinkState) -> None:
        """Tell a state of the link now."""
        if self._on_link is not None:
            self._on_link(link)

    def change(self, rows: int) -> IntColumn:
        """Change the power, the hash rate, the temperature and the age of so many rows."""
        made = self._made
        changed = np.unique(self._dice.integers(0, len(made.ids), rows))
        made.numbers = {name: column.copy() for name, column in made.numbers.items()}
        made.numbers["power_w"][changed] *= self._dice.normal(1.0, 0.002, len(changed))
        made.numbers["temperature_c"][changed] += self._dice.normal(0.0, 0.3, len(changed))
        made.numbers["seen_ms"][changed] = self.at_ms - 200
        return changed

    def image(self, changed: IntColumn | None) -> FleetImage:
        """The site as it is now."""
        self.rev += 1
        made = self._made
        return FleetImage(
            rev=self.rev,
            epoch="e1",
            at_ms=self.at_ms,
            ids=made.ids,
            numbers=dict(made.numbers),
            words=made.words,
            changed=changed,
            strip=self._strip(),
            alarms=self.alarms,
            events=(EVENT,),
            jobs=self.jobs,
            containers=made.containers,
            circuits=made.circuits,
        )

    def _strip(self) -> StripView:
        power_kw = float(np.nansum(self._made.numbers["power_w"])) / 1_000
        target_kw, rated_kw = self._made.rated_kw * 0.9, self._made.rated_kw
        if self.programme is not None:
            power_kw, target_kw, rated_kw = self.programme["power_kw"], self.programme["figure_kw"], 160_000.0
        counts = {
            f"p{n}": sum(a.priority == n and a.state in ("UNACK", "ACK") for a in self.alarms) for n in range(1, 5)
        }
        return StripView(
            site="site-07",
            timezone="America/Asuncion",
            mode="FOLLOWING",
            authority="grid",
            armed=True,
            stop_all=False,
            maintenance=False,
            power_kw=power_kw,
            target_kw=target_kw,
            limit_kw=rated_kw,
            rated_kw=rated_kw,
            deviation_kw=power_kw - target_kw,
            deviation_pct=100 * (power_kw - target_kw) / target_kw,
            in_band=abs(power_kw - target_kw) < 0.02 * target_kw,
            unconfirmed_kw=3.2,
            reason="FOLLOWING_SETPOINT",
            reason_help="the grid's set-point is followed",
            limit_reason="IMPORT_LIMIT",
            limit_source="contract",
            meter_quality="OK",
            signal_age_s=1.8,
            event=EVENT,
            hash_rate_ths=float(np.nansum(self._made.numbers["hash_rate_hs"])) / 1e12,
            miners={"total": len(self._made.ids)},
            alarms={
                **counts,
                "unack": sum(a.state == "UNACK" for a in self.alarms),
                "shelved": sum(a.state == "SHELVED" for a in self.alarms),
                "suppressed": sum(a.state == "SUPPRESSED" for a in self.alarms),
            },
            flood=False,
            overrides=self.overrides,
            lease=self.lease,
            reach=self.reach,
            sites=0 if self.programme is None else len(self.programme["rows"]),
        )


ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/config": {"rows": [{"key": "site.name", "value": "site-07", "origin": "farm.toml:2"}]},
    "/v1/system": {
        "version": "0.1.0", "up_s": 93_784,
        "polls": {"interval_s": 5.0, "due": 3, "in_flight": 112, "most_in_flight": 400, "done": 1_204_551,
                  "failed": 812, "overruns": 4, "n": 2_000, "p50_ms": 14.2, "p99_ms": 61.0},
        "commands": {"open": 12, "retried": 7, "fates": {"acknowledged": 4_180, "failed": 9}, "by_firmware": [
            {"firmware": "whatsminer 20260101.1", "n": 500, "p50_ms": 48.0, "p99_ms": 310.0},
            {"firmware": "antminer 2026", "n": 120, "p50_ms": 820.0, "p99_ms": 4_100.0}]},
        "loop": {"n": 1_200, "p50_ms": 0.4, "p99_ms": 6.1},
        "refused": [{"source": "grid", "reason": "SIGNATURE_INVALID", "n": 2}],
        "store": {"free_bytes": 41_000_000_000},
        "watchers": [{"name": "operator1", "role": "operator", "since": "2026-11-24T06:00:00Z", "origin": "10.0.0.7"}],
        "most_watchers": 256,
        "feeds": [{"source": "grid", "connected": True, "confirmed": True, "age_s": 1.8, "clock_offset_ms": 12},
                  {"source": "price", "connected": False, "confirmed": False, "age_s": None, "clock_offset_ms": 0}],
    },
    "/v1/outlook": {
        "stretches": [
            {"start": "2026-11-24T09:00:00Z", "end": "2026-11-24T10:30:00Z", "target_kw": 720.0, "limit_kw": 1_080.0,
             "reason": "FOLLOWING_SETPOINT", "source": "grid", "event": "ev-0042"},
            {"start": "2026-11-24T10:30:00Z", "end": "2026-11-24T13:00:00Z", "target_kw": 900.0, "limit_kw": 900.0,
             "reason": "STANDING", "source": "contract", "event": ""}],
        "prices": [{"start": "2026-11-24T11:00:00Z", "end": "2026-11-24T12:00:00Z", "price_per_kwh": 0.081,
                    "event": "price-11"}],
        "standing_kw": 900.0, "own_price_per_kwh": 0.045,
        "fallback": {"expects_grid": True, "quiet_s": 30.0, "stale_s": 60.0, "follows_schedule": True,
                     "firm_kw": 200.0, "safe_min_kw": 30.0, "ramp_down_kw_per_min": None,
                     "ramp_up_kw_per_min": 5_000.0},
    },
    "/v1/alarms/history?limit=200": {"rows": [
        {"seq": 88, "at": "2026-11-24T08:41:52Z", "alarm": "circuit_overload@F1", "priority": 1, "before": "NORMAL",
         "state": "UNACK", "detail": "102% of 400 kW", "owner": "", "note": ""},
        {"seq": 71, "at": "2026-11-24T07:12:09Z", "alarm": "pools_down@site", "priority": 2, "before": "ACK",
         "state": "NORMAL", "detail": "eu1 answers again", "owner": "operator1", "note": "route was down"}],
        "before": None},
}  # fmt: skip
"""What the controller would say to a screen that asks."""
EVENT = EventView(
    id="ev-0042",
    source="grid",
    event_class="DISPATCH",
    state="ACTIVE",
    reason=None,
    priority=1,
    start="2026-11-24T08:00:00Z",
    end="2026-11-24T10:30:00Z",
    starts_in_s=0.0,
    ends_in_s=5_400.0,
    limit_kw=None,
    setpoint_kw=720.0,
)


def alarm(name: str, where: str, priority: int, state: str, detail: str, response: str, n: int = 1) -> AlarmView:
    """One alarm with plausible words around it."""
    return AlarmView(
        id=f"{name}@{where}",
        alarm=name,
        priority=priority,
        where=where,
        state=state,
        holds=state != "RTN_UNACK",
        valid=True,
        since="2026-11-24T08:41:52Z",
        detail=detail,
        cause="growth or the loss of a phase",
        consequence="the breaker trips and the container is dark",
        response=response,
        runbook=f"docs/runbooks/{name}.md",
        n=n,
        count=0,
        owner="" if state == "UNACK" else "operator1",
        note="" if state != "SHELVED" else "fan replaced at noon",
        shelved_until="2026-11-24T17:00:00Z" if state == "SHELVED" else None,
    )


def some_alarms() -> tuple[AlarmView, ...]:
    """One of every kind, worst first."""
    return (
        alarm("circuit_overload", "F1", 1, "UNACK", "102% of 400 kW", "shed that node; check phases"),
        alarm("circuit_near_limit", "C001", 2, "UNACK", "94% of 400 kW", "move or derate"),
        alarm("container_offline", "C002", 2, "ACK", "196 of 250 silent", "uplink, then breaker", n=196),
        alarm("reject_ratio", "site", 3, "RTN_UNACK", "1.8% > 1.5%", "pool or route"),
        alarm("low_hash", "C000", 4, "SHELVED", "31 miners", "plan repair", n=31),
        alarm("hashrate_low", "site", 2, "SUPPRESSED", "curtailed by plan", "none: it is planned"),
    )


def plan(rev: int, confirm: str | None) -> dict[str, Any]:
    """What a dry run answers."""
    return {
        "rev": rev,
        "power_kw": 812.4,
        "planned_kw": 401.0,
        "change_kw": -411.4,
        "target_kw": 400.0,
        "limit_kw": 900.0,
        "limit_reason": "IMPORT_LIMIT",
        "reason_help": "an operator holds the site",
        "shortfall_kw": 0.0,
        "lowered": 118,
        "raised": 0,
        "put_to_sleep": 112,
        "woken": 0,
        "seconds": 65.0,
        "left_out": [{"reason": "MIN_ON", "help": "awake for less than 10 minutes", "miners": 4, "kw": 13.2}],
        "confirm": confirm,
    }


class _Columns:
    def __init__(self, ids: tuple[str, ...], rated_kw: float) -> None:
        self.ids = ids
        self.rated_kw = rated_kw
        self.numbers: dict[str, np.ndarray] = {}
        self.words: dict[str, Words] = {}
        self.containers: tuple[ContainerView, ...] = ()
        self.circuits: tuple[CircuitView, ...] = ()


def _columns(miners: int, dice: np.random.Generator) -> _Columns:
    rows = np.arange(miners)
    made = _Columns(tuple(f"{n:012x}" for n in range(miners)), miners * 3.6)
    container, rack = rows // PER_CONTAINER, rows % PER_CONTAINER // PER_RACK
    shares = (0.80, 0.05, 0.12, 0.005, 0.012, 0.008, 0.005)
    state = dice.choice(len(STATES), miners, p=shares)
    awake = state <= 1
    power = np.where(awake, dice.normal(3_450.0, 120.0, miners), np.where(state == 2, 30.0, np.nan))  # noqa: PLR2004
    ages_ms = np.where(state == STATES.index("offline"), 500_000, dice.integers(100, 5_000, miners))
    made.numbers = {
        "power_w": power,
        "want_w": np.where(state == 2, 30.0, 3_450.0),  # noqa: PLR2004 - curtailed
        "hash_rate_hs": np.where(awake, dice.normal(200e12, 5e12, miners), np.nan),
        "temperature_c": np.where(awake, dice.normal(71.0, 5.0, miners), 30.0),
        "seen_ms": (START_MS - ages_ms).astype(np.float64),
        "tier": np.zeros(miners),
        "limit_c": np.full(miners, 95.0),
        "fan_rpm": np.where(awake, np.round(dice.normal(5_400.0, 300.0, miners) / 60.0) * 60.0, 0.0),
        "since_ms": np.where(rows % 7 == 0, START_MS - 1_000.0 * (rows + 5), np.nan),
    }
    last = int(container.max()) if miners else -1
    made.words = {
        "state": Words(codes=state.astype(np.int64), words=STATES),
        "want": Words(codes=(state != 2).astype(np.int64), words=("sleep", "full")),  # noqa: PLR2004 - curtailed
        "reason": Words(codes=(state == 2).astype(np.int64), words=("AT_TARGET", "SHED_LEAST_EFFICIENT")),  # noqa: PLR2004
        "container": Words(codes=container, words=tuple(f"C{n:03}" for n in range(last + 1))),
        "rack": Words(codes=rack, words=tuple(f"R{n:02}" for n in range(PER_CONTAINER // PER_RACK))),
        "slot": Words(codes=rows % PER_RACK, words=tuple(f"{n:02}" for n in range(PER_RACK))),
        "model": Words(codes=rows % len(MODELS), words=MODELS),
        "firmware": Words(codes=np.zeros(miners, dtype=np.int64), words=("20260101.1",)),
        "circuit": Words(codes=container % 4, words=("F0", "F1", "F2", "F3")),
        "host": Words(codes=np.zeros(miners, dtype=np.int64), words=("127.0.0.1",)),
        "fault": Words(codes=(state == STATES.index("fault")) * (1 + rows % 2), words=("", "2010", "hashs_1")),
        "pool": Words(codes=np.where(rows % 9 == 0, 2, 1), words=("", "eu1.example", "us1.example")),
        "phase": Words(codes=rows % 3, words=("L1-L2", "L2-L3", "L1-L3")),
        "protected": Words(codes=np.zeros(miners, dtype=np.int64), words=("no", "yes")),
    }
    made.containers = tuple(_container(made, container == n, f"C{n:03}", state) for n in range(last + 1))
    load_kw = float(np.nansum(power)) / 1_000
    made.circuits = (
        CircuitView(name="site", parent="", rating_kw=made.rated_kw, load_kw=load_kw, meter_kw=load_kw * 1.01),
        *(
            CircuitView(name=f"F{n}", parent="site", rating_kw=load_kw / (3.0 + n), load_kw=load_kw / 4, meter_kw=None)
            for n in range(4)
        ),
    )
    return made


def _container(made: _Columns, mask: MaskColumn, name: str, state: np.ndarray) -> ContainerView:
    counts = np.bincount(state[mask], minlength=len(STATES))
    return ContainerView(
        name=name,
        miners=int(mask.sum()),
        states={word: int(counts[code]) for code, word in enumerate(STATES)},
        power_kw=float(np.nansum(made.numbers["power_w"][mask])) / 1_000,
        hash_rate_ths=float(np.nansum(made.numbers["hash_rate_hs"][mask])) / 1e12,
        hottest_c=float(made.numbers["temperature_c"][mask].max()),
    )
