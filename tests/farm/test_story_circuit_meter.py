"""A container's own Modbus meter: it shows what the miners do not know of, and the container's rating holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from farmctl.core.reasons import ORDER, Reason
from simulators.broker import find_mosquitto
from simulators.meter.server import Electrical, MeterFault, SimMeter
from simulators.meter.site import Auxiliary
from tests.farm.controller import Controller, controller
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
INSIDE = 8
SETTING = Setting(net=214, mix={"luxos-s19kpro": INSIDE, "luxos-s21": 4})
FANS_W = 3_000.0
"""What cools the container: on its circuit, in no miner's telemetry, and a lot beside miners that are low."""
RATING = 0.9
"""Of everything that the container can draw."""


@asynccontextmanager
async def container(there: Site) -> AsyncIterator[tuple[SimMeter, float]]:
    """Put a meter and a rating on the first container; the meter, and the rating in kW."""
    fleet = there.world.fleet
    full_w = float(fleet.power_w[:INSIDE].sum()) + FANS_W
    meter = SimMeter(
        source=lambda: float(fleet.power_w[:INSIDE].sum()),
        aux=Auxiliary(base_w=FANS_W),
        electrical=Electrical(rated_w=full_w),
    )
    await meter.start()
    rating_kw = round(RATING * full_w / 1e3, 2)
    plain = there.config_path.read_text(encoding="utf-8")
    circuit = 'name = "C001"\nparent = "site"\n'
    table = (
        f'[[meter]]\nname = "c1"\nkind = "modbus"\nhost = "127.0.0.1"\nport = {meter.port}\nperiod_s = 0.5\n'
        'stale_s = 3.0\n[[meter.registers]]\nname = "kw"\naddress = 0\ntype = "f32"\n'
    )
    assert circuit in plain
    text = plain.replace(circuit, f'{circuit}rating_kw = {rating_kw}\nmeter = "c1"\n') + table
    there.config_path.write_text(text, encoding="utf-8")
    try:
        yield meter, rating_kw
    finally:
        await meter.stop()


async def test_a_containers_meter_holds_its_rating_with_what_no_miner_tells_and_silent_it_lets_nothing_rise(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, SETTING) as there, container(there) as (meter, rating_kw), controller(there) as farm:

        def held(lowest: float = 0.85) -> bool:
            shown = [power_w / 1e3 for at_s, power_w in meter.history if at_s >= time.monotonic() - 2.0]
            return bool(shown) and max(shown) <= rating_kw and min(shown) >= lowest * rating_kw

        await there.until(held, f"container below {rating_kw} kW")
        outside_w = float(there.world.fleet.power_w[INSIDE:].sum())
        assert outside_w > 0.98 * float(there.world.fleet.settled_w()[INSIDE:].sum())  # nobody else pays for it
        assert _reasons(farm, there)[:INSIDE].count(Reason.CIRCUIT_LIMIT) >= 1

        await there.ask(0.4 * there.full_kw, name="low")
        await there.until(lambda: there.near(0.4 * there.full_kw), "the site is low")
        meter.set_fault(MeterFault.GONE)
        await there.until(lambda: _silent(farm), "the container's meter is known to be silent")
        before_w = float(there.world.fleet.power_w[:INSIDE].sum())
        await there.ask(there.full_kw, name="high")
        await there.until(lambda: float(there.world.fleet.power_w[INSIDE:].sum()) > 0.95 * outside_w, "others rise")
        assert float(there.world.fleet.power_w[:INSIDE].sum()) < before_w + 300.0
        meter.clear_fault()
        await there.until(held, "the container is back up to its rating")


def _silent(farm: Controller) -> bool:
    """The controller's tree knows no reading of the metered circuit."""
    tree = farm.seen.picture.view.circuits
    node = tree.names.index("C001")
    return bool(tree.meter_w[node] != tree.meter_w[node])


def _reasons(farm: Controller, there: Site) -> list[Reason]:
    """Why each simulated miner is where it is, in the order of the world."""
    codes = farm.seen.picture.decision.reasons
    return [ORDER[int(codes[farm.row_of(there, row)])] for row in range(len(there.world.miners))]
