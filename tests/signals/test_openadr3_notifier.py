from __future__ import annotations

import asyncio

import pytest

from simulators.vtn import Vtn
from tests.signals.conftest import Mosquitto
from tests.signals.openadr_peer import BL, VEN, Site, event, until


@pytest.mark.peer
async def test_a_notification_over_mqtt_is_followed_by_a_poll_at_once(mosquitto: Mosquitto) -> None:
    await mosquitto.start()
    vtn = Vtn((BL, VEN), broker=(mosquitto.host, mosquitto.port))
    await vtn.start()
    try:
        programme = vtn.put("programs", {"programName": "surplus"})["id"]
        async with Site(vtn, poll_s=3_600.0, loss_after_s=7_200.0, notifications=True, register=True) as site:
            await until(lambda: site.source.polls >= 2)
            assert [v["venName"] for v in vtn.shelf.objects["vens"].values()] == ["ven-07"]
            made = vtn.put("events", event(programme, ("DISPATCH_SETPOINT", [18_500])))
            await until(lambda: site.put)
            vtn.remove("events", made["id"])
            await until(lambda: site.deleted == [made["id"]])
    finally:
        await vtn.stop()


async def test_a_vtn_without_a_notifier_is_polled_all_the_same() -> None:
    vtn = Vtn((BL, VEN))
    await vtn.start()
    try:
        programme = vtn.put("programs", {"programName": "surplus"})["id"]
        async with Site(vtn, notifications=True, register=True) as site:
            await until(lambda: ("GET", "/notifiers", 200) in vtn.calls)
            await asyncio.sleep(0)
            vtn.put("events", event(programme, ("DISPATCH_SETPOINT", [18_500])))
            await until(lambda: site.put)
    finally:
        await vtn.stop()
