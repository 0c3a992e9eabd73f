"""The hours ahead, the controller itself, and the alarms behind, as screens 5, 7 and 4 ask for them."""

from __future__ import annotations

import asyncio

from tests.control.glasshouse import Asker, Glasshouse


async def test_the_plan_follows_the_received_intervals_and_ends_with_the_override(
    house: Glasshouse, ask: Asker
) -> None:
    rated_w = house.day.rated_w
    house.day.event("soon", setpoint_w=0.5 * rated_w, starts_in_s=600, for_s=1_200)
    house.run(3)
    told = await ask.get("/v1/outlook")
    targets = [round(row["target_kw"] * 1e3 / rated_w, 2) for row in told["stretches"]]
    named = next(row for row in told["stretches"] if row["event"] == "soon")
    assert 0.5 in targets
    assert told["stretches"].index(named) > 0
    assert named["start"] < named["end"] == told["stretches"][told["stretches"].index(named) + 1]["start"]
    assert all(one["end"] == two["start"] for one, two in zip(told["stretches"], told["stretches"][1:], strict=False))
    assert told["fallback"]["stale_s"] > told["fallback"]["quiet_s"]
    assert told["fallback"]["firm_kw"] >= told["fallback"]["safe_min_kw"]


async def test_the_controller_tells_who_watches_and_how_its_signal_sources_are(house: Glasshouse, ask: Asker) -> None:
    del house
    told = await ask.get("/v1/system")
    assert (told["watchers"], told["most_watchers"]) == ([], 256)
    assert [set(feed) for feed in told["feeds"]] == [
        {"source", "connected", "confirmed", "age_s", "clock_offset_ms"} for _ in told["feeds"]
    ]


async def test_every_change_of_an_alarm_is_on_record_newest_first(house: Glasshouse, ask: Asker) -> None:
    house.day.grid_falls_silent()
    house.run(45)
    told = {"reason": "called the dispatcher"}
    await asyncio.to_thread(ask.client.post, "/v1/alarms/signal_stale@site/ack", told)
    (newest,) = (await ask.get("/v1/alarms/history", limit=1))["rows"]
    assert (newest["alarm"], newest["before"], newest["state"]) == ("signal_stale@site", "UNACK", "ACK")
    assert (newest["owner"], newest["note"]) == ("kim", "called the dispatcher")
