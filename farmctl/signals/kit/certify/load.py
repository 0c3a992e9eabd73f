"""Scenarios that move load: limits, set-points, an EMERGENCY, and a grid that falls silent."""

from __future__ import annotations

from farmctl.signals.kit.certify.stage import FAILSAFE_MODES, BrokenRuleError, Stage

LIMIT_SHARE = 0.7
LOWER_SHARE = 0.5
TARGET_SHARE = 0.6
OVER = 1.01
"""A limit counts as kept up to 1 % above it (section 5)."""


async def limit(stage: Stage) -> None:
    """A limit is reached in time, lowered by an UPDATE, and completed at its end."""
    floor, power = await stage.movable_kw()
    allow = stage.allow
    span = 2 * allow.respond_s + allow.hold_s
    first_kw, then_kw = (round(floor + share * (power - floor), 1) for share in (LIMIT_SHARE, LOWER_SHARE))
    wish = stage.wish("limit", limit_kw=first_kw, for_s=span, respond_within_s=allow.respond_s)
    since = await stage.order(wish)
    await stage.reached(wish.event_id, allow.respond_s, since=since)
    lower = stage.wish("limit", limit_kw=then_kw, for_s=allow.respond_s + allow.hold_s)
    update = type(lower)(
        event_id=wish.event_id,
        limit_kw=then_kw,
        for_s=lower.for_s,
        respond_within_s=allow.respond_s,
        programme=wish.programme,
    )
    since = await stage.order(update, operation="UPDATE")
    await stage.reached(wish.event_id, allow.respond_s, since=since, name="update_reached_s")
    await stage.passes(min(10, allow.hold_s))
    stage.measured["limit_kw"], stage.measured["power_kw"] = then_kw, stage.power_kw()
    if stage.power_kw() > then_kw * OVER:
        raise BrokenRuleError(f"{stage.power_kw():.0f} kW under a limit of {then_kw:.0f} kW")
    await stage.ended(wish.event_id, "COMPLETED", allow.respond_s + allow.hold_s + allow.terminal_s, since=since)


async def setpoint(stage: Stage) -> None:
    """A set-point is reached in time within its tolerance; a better one supersedes it."""
    floor, power = await stage.movable_kw()
    allow = stage.allow
    goal = round(floor + TARGET_SHARE * (power - floor), 1)
    tolerance = round(max(0.03 * power, 1.0), 1)
    wish = stage.wish(
        "setpoint",
        target_kw=goal,
        for_s=2 * allow.respond_s + allow.hold_s,
        respond_within_s=allow.respond_s,
        tolerance_kw=tolerance,
        priority=20,
    )
    since = await stage.order(wish)
    said = await stage.reached(wish.event_id, allow.respond_s, since=since)
    measured = said.body.get("measuredKw")
    stage.measured["target_kw"] = goal
    if isinstance(measured, int | float):
        stage.measured["error_kw"] = round(abs(measured - goal), 1)
        if abs(measured - goal) > tolerance * OVER:
            raise BrokenRuleError(f"REACHED at {measured} kW, asked {goal} ± {tolerance} kW")
    better = stage.wish("better", target_kw=goal, for_s=allow.hold_s, respond_within_s=allow.respond_s, priority=5,
                        tolerance_kw=tolerance)  # fmt: skip
    after = await stage.order(better)
    await stage.ended(wish.event_id, "SUPERSEDED", allow.judged_s * 2 + 5, since=since)
    stage.console.book.live.pop(wish.event_id, None)
    await stage.ended(better.event_id, "COMPLETED", allow.hold_s + allow.terminal_s, since=after)


async def emergency(stage: Stage) -> None:
    """An EMERGENCY sheds at once, outlives its expiry and a DELETE without release, and ends by the release."""
    floor, power = await stage.movable_kw()
    allow, console = stage.allow, stage.console
    kw = round(floor + 0.3 * (power - floor), 1)
    wish = stage.wish(
        "emergency", limit_kw=kw, event_class="EMERGENCY", for_s=allow.emergency_s, respond_within_s=allow.emergency_s,
        priority=0,
    )  # fmt: skip
    since = await stage.order(wish)
    try:
        await stage.reached(wish.event_id, allow.emergency_s, since=since)
        here = len(console.heard.acks)
        refused = await console.withdraw(wish.event_id)
        msg_id = refused["object"]["x-farmctl"]["msgId"]
        await console.until(lambda: console.heard.answer(msg_id), allow.judged_s)
        said = console.heard.answer(msg_id)
        if said is None or (said.body["state"], said.body["code"]) != ("REJECTED", 253):
            raise BrokenRuleError(f"a DELETE without release was answered {said and said.body}, expected REJECTED 253")
        await stage.passes(allow.emergency_s + 5)
        if "COMPLETED" in console.heard.states(wish.event_id, since=here) or not stage.state()["emergencyLatched"]:
            raise BrokenRuleError("the EMERGENCY ended by its expiry; only a release ends it")
    finally:
        if wish.event_id in console.book.live:
            await console.withdraw(wish.event_id, release=True)
    await stage.told(wish.event_id, {"CANCELLED"}, allow.judged_s * 2, since=since)
    if not await console.until(lambda: not stage.state()["emergencyLatched"], allow.judged_s * 2):
        raise BrokenRuleError("state still says emergencyLatched after the release")


async def silence(stage: Stage) -> None:
    """No heartbeat: FAILSAFE in time, load only falls, to the fail-safe limit; a newer snapshot ends it."""
    console, allow = stage.console, stage.allow
    await stage.settled_kw()
    limit_kw = float(console.heard.latest["capability"].body["failsafeLimitKw"])
    top_kw = stage.power_kw()
    started_ms = console.clock.now_ms()
    console.silent = True
    try:
        if not await console.until(lambda: stage.state()["mode"] in FAILSAFE_MODES, allow.loss_s + 5):
            raise BrokenRuleError(f"mode {stage.state()['mode']} after {allow.loss_s:g} s without a heartbeat")
        stage.measured["failsafe_s"] = round((console.clock.now_ms() - started_ms) / 1_000, 1)
        most_kw = max(limit_kw * OVER, limit_kw + 1.0)
        if not await console.until(lambda: stage.power_kw() <= most_kw, allow.silent_s):
            raise BrokenRuleError(
                f"{stage.power_kw():.0f} kW, {allow.silent_s:g} s after FAILSAFE, limit {limit_kw:g} kW"
            )
        stage.measured["at_limit_s"] = round((console.clock.now_ms() - started_ms) / 1_000, 1)
        peak_kw = max(float(said.body["kw"]) for said in console.heard.telemetry if said.at_ms >= started_ms)
        if peak_kw > max(top_kw * 1.05, top_kw + 1.0):
            raise BrokenRuleError(f"load rose from {top_kw:.0f} to {peak_kw:.0f} kW while the grid was silent")
    finally:
        console.silent = False
        left_ms = console.clock.now_ms()
        await console.list_live()
    if not await console.until(lambda: stage.state()["mode"] not in FAILSAFE_MODES, allow.leaves_failsafe_s):
        raise BrokenRuleError(f"still {stage.state()['mode']} after a newer snapshot and a heartbeat")
    stage.measured["left_s"] = round((console.clock.now_ms() - left_ms) / 1_000, 1)
