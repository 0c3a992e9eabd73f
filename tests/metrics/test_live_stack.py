"""`farmctl run` on a simulated farm, watched by a real Prometheus that pages through a real Alertmanager."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulators.broker import find_mosquitto
from simulators.meter.server import MeterFault
from tests.farm.controller import ROOT, Daemon, daemon
from tests.farm.setting import SITE, Setting
from tests.farm.site import Site, site
from tests.metrics.certificate import certificate
from tests.metrics.stack import ALERTMANAGER, PROMETHEUS, Stack, stack, until

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed"),
    pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not installed"),
]
SETTING = Setting(net=232, mix={"m50": 40, "luxos-s19kpro": 40}, lost_s=20.0)
VARIABLES = {"$__rate_interval": "15s", "$__range": "1m", "$site": ".*", "$container": ".*"}
DASHBOARDS = sorted((ROOT / "configs" / "grafana" / "dashboards").glob("*.json"))
WATCHDOG = {"FarmctlWatchdog"}


def expressions() -> dict[str, str]:
    """Where an expression stands -> the expression, filled in."""
    found: dict[str, str] = {}
    for file in DASHBOARDS:
        board: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                found[f"{board['uid']} / {panel['title']} / {target['refId']}"] = target["expr"]
        for note in board["annotations"]["list"]:
            found[f"{board['uid']} / annotation {note['name']}"] = note["expr"]
    for name, value in VARIABLES.items():
        found = {where: expr.replace(name, value) for where, expr in found.items()}
    return found


async def empty(page: Stack, since_s: float) -> list[str]:
    """Where an expression has given no number since then; asked again until the last scrapes are in."""
    missing = expressions()
    for _ in range(20):
        missing = {where: expr for where, expr in missing.items() if not await page.seen(expr, since_s)}
        if not missing:
            break
        await asyncio.sleep(1.0)
    return [f"{where}: {expr}" for where, expr in missing.items()]


async def ordered(there: Site, *words: str) -> None:
    """One verb of the CLI, as an operator would type it."""
    command = (sys.executable, "-m", "farmctl", *words, "--socket", f"{there.folder}/farmctl.sock", "--reason", "story")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=ROOT)
    out, err = await process.communicate()
    assert process.returncode == 0, (out, err)


async def up(there: Site, running: Daemon) -> None:
    """The controller has left boot fail-safe."""
    known = {"AUTONOMOUS", "FOLLOWING"}
    await there.until(
        lambda: running.ended or bool(known & {mode for _, mode in there.grid.uplink.modes}), "it is up", within_s=90.0
    )
    assert not running.ended, await running.said()


async def curtailed(there: Site) -> None:
    """A planned day: an event that is reached, held and over, and an operator's override."""
    order = await there.ask(0.6 * there.full_kw, duration_s=18.0)
    await there.grid.wait_for(order, {"REACHED"}, within_s=60.0)
    await there.grid.wait_for(order, {"COMPLETED"}, within_s=60.0)
    rated = f"{there.rated_kw:.0f}kW"
    await ordered(there, "override", "set", "--to", rated, "--for", "1h", "--yes", "--confirm", SITE)


async def no_meter(there: Site, page: Stack) -> None:
    """The meter falls silent and comes back: one alarm of the controller, paged in a group of its own."""
    alarm = {"alarm": "meter_lost_armed", "site": SITE}
    there.meter.set_fault(MeterFault.GONE)
    await until(lambda: _is(bool(page.paged("firing", alertname="FarmctlAlarmP1", **alarm))), "the meter is paged")
    (told,) = page.paged("firing", **alarm)[:1]
    assert told["groupLabels"] == alarm
    assert told["commonAnnotations"]["runbook_url"].endswith("/meter_lost_armed")
    groups = [group for group in await page.groups() if group["labels"] == alarm]
    assert [a["labels"]["alertname"] for group in groups for a in group["alerts"]] == ["FarmctlAlarmP1"]
    there.meter.clear_fault()


async def no_signal(there: Site, page: Stack) -> None:
    """The broker dies: the armed source is stale, while the alarm of the meter ends at the controller."""
    assert there.broker is not None
    await there.broker.kill()
    stale = {"alertname": "FarmctlSignalStale", "site": SITE, "source": "grid"}
    await until(lambda: _is(bool(page.paged("firing", **stale))), "the silent grid is paged")
    active = 'farmctl_alarm_active{alarm="meter_lost_armed"}'
    await until(lambda: _empty(page, active), "the meter's alarm is over at the controller")


async def no_controller(running: Daemon, page: Stack) -> None:
    """The controller is killed: that is paged, and what only it could say is inhibited."""
    await running.end(signal.SIGKILL)
    await until(lambda: _is(bool(page.paged("firing", alertname="FarmctlDown", site=SITE))), "its absence is paged")

    async def inhibited() -> bool:
        found = await page.alerts("FarmctlSignalStale")
        return bool(found) and all(a["status"]["inhibitedBy"] for a in found)

    await until(inhibited, "the stale signal is inhibited by the controller that is gone")


async def test_alerts_fire_group_inhibit_and_resolve_and_planned_curtailment_fires_none(tmp_path: Path) -> None:
    began_s = time.time()
    async with site(tmp_path, SETTING) as there:
        door = _door(there)
        async with daemon(there) as running, _watched(there, running, door) as page:
            # An increase is seen between two scrapes: the first must come before the event.
            await until(lambda: _holds(page, "farmctl_dispatch_response_seconds_count >= 0"), "a first scrape")
            await curtailed(there)
            assert await page.fired() == WATCHDOG
            assert page.pages == []
            assert page.beats
            assert await page.query("count(farmctl_miner_up == 1)")
            assert "\n".join(await empty(page, began_s)) == ""
            await no_meter(there, page)
            await no_signal(there, page)
            await no_controller(running, page)
            over = {"alertname": "FarmctlAlarmP1", "alarm": "meter_lost_armed"}
            await until(lambda: _is(bool(page.paged("resolved", **over))), "the meter's return is told")
            assert {"FarmctlAlarmP1", "FarmctlSignalStale", "FarmctlDown"} <= await page.fired()
            assert not await page.fired() & {"FarmctlPowerAboveTarget", "FarmctlHashrateLow", "FarmctlTwoLeaders"}


def _door(there: Site) -> dict[str, Any]:
    """Close the endpoint with a certificate and a login, serve the miners too; how Prometheus gets in."""
    tls, login = certificate(there.folder), there.folder / "metrics.password"
    login.write_text("story", encoding="utf-8")
    for secret in (tls.key, login):
        secret.chmod(0o600)
    closed = f'cert_file = "{tls.cert}"\nkey_file = "{tls.key}"\nuser = "prometheus"\npassword_file = "{login}"\n'
    text = there.config_path.read_text(encoding="utf-8")
    text = text.replace("[poll]\n", "[poll]\nfacts_interval_s = 5.0\n")
    text = text.replace("[metrics]\n", f"[metrics]\nper_miner = true\n{closed}")
    there.config_path.write_text(text, encoding="utf-8")
    return {
        "scheme": "https",
        "tls_config": {"ca_file": str(tls.cert), "server_name": "localhost"},
        "basic_auth": {"username": "prometheus", "password_file": str(login)},
    }


@asynccontextmanager
async def _watched(there: Site, running: Daemon, door: dict[str, Any]) -> AsyncIterator[Stack]:
    """Prometheus begins when the controller is up: a slow start is no absence."""
    await up(there, running)
    async with stack(there.folder, site=SITE, scrape=there.loaded.config.metrics.listen, door=door) as page:
        yield page


async def _is(value: bool) -> bool:  # noqa: FBT001 - what was looked at
    return value


async def _holds(page: Stack, expr: str) -> bool:
    return bool(await page.query(expr))


async def _empty(page: Stack, expr: str) -> bool:
    return not await page.query(expr)
