"""A site for a crew: LuxOS miners in containers, a schedule that moves its power every few seconds, one cap."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import asyncpg

from benchmarks._crew_recorder import Claim
from farmctl.ports.devices import Endpoint
from farmctl.store.places import Database
from farmctl.wiring.demo.site import identified
from farmctl.wiring.demo.site import stocked as put
from farmctl.wiring.drivers import load_drivers
from simulators.plan import read_plan
from simulators.world import World, inventory_rows

SITE = "chaos"
TIME_SCALE = 120.0
CAP = 0.7
"""The site's cap as a share of what its miners draw at full."""
MOVES = (0.62, 0.35)
"""Targets in turn, as shares of the same; the first is close under the cap."""
MOVE_S = 6.0
HORIZON_S = 7_200
MODEL, DRIVER = "luxos-s19kpro", "luxos"

_LOG = """
CREATE TABLE lease_log (shard TEXT, holder TEXT, epoch BIGINT, at TIMESTAMPTZ, let_go BOOLEAN);
CREATE FUNCTION log_lease() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    INSERT INTO lease_log VALUES (NEW.shard_id, NEW.holder, NEW.epoch, clock_timestamp(), NEW.epoch = OLD.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER log_lease AFTER UPDATE ON shard_lease FOR EACH ROW
WHEN (NEW.epoch <> OLD.epoch OR NEW.expires_at < OLD.expires_at) EXECUTE FUNCTION log_lease();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large."""

    shards: int
    miners: int
    """Per shard."""


def world(size: Size, network: str) -> World:
    """The miners, not yet listening."""
    groups = "".join(
        f'[[group]]\nname = "g{n}"\nmodel = "{MODEL}"\ncount = {size.miners}\nfirst_container = {n + 1}\n'
        f'address = "{network}.{n + 1}.1"\nports = {{ api = 4028, http = 8080 }}\n'
        for n in range(size.shards)
    )
    farm = f"[farm]\nseed = 9\ntime_scale = {TIME_SCALE}\nambient_swing_c = 0.0\nallow_remote = true\n"
    return World(read_plan(farm + groups))


def full_w(made: World) -> float:
    """What all miners draw at full."""
    return sum(miner.personality.full_w for miner in made.miners)


async def stocked(dsn: str, made: World) -> None:
    """Migrate, put the miners into the inventory, and have every change of holder logged."""
    known = inventory_rows(made)
    places = [Endpoint(host=each["host"], ports=each["ports"]) for each in known]
    found = await identified(places, list(load_drivers((DRIVER,)).values()))
    await put(Database(dsn=dsn, name="chaos"), known, found)
    connection = await asyncpg.connect(dsn)
    schema = await connection.fetchval("SELECT current_schema()")
    await connection.execute(_LOG.format(schema=schema))
    await connection.close()


async def claims(dsn: str) -> list[Claim]:
    """The log, in order."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT shard, holder, epoch, extract(epoch FROM at)::float8, let_go FROM lease_log ORDER BY at"
    )
    await connection.close()
    return [Claim(shard, int(holder.split("-")[1]), *rest) for shard, holder, *rest in rows]


def configured(folder: Path, number: int, made: World, *, dsn: str, lease_s: float, metrics_port: int) -> Path:
    """The configuration of one process."""
    full_kw = sum(miner.personality.full_w for miner in made.miners) / 1e3
    home = folder / f"w-{number}"
    home.mkdir()
    (home / "dsn").write_text(dsn, encoding="utf-8")
    (home / "dsn").chmod(0o600)
    containers = sorted({miner.identity.container for miner in made.miners})
    circuits = "".join(f'[[circuit]]\nname = "{name}"\nparent = "site"\n' for name in containers)
    path = home / "farm.toml"
    path.write_text(
        f"""
[site]
name = "{SITE}"
rated_kw = {CAP * full_kw:.3f}
standing_kw = {CAP * full_kw:.3f}
failsafe_limit_kw = {0.3 * full_kw:.3f}
[control]
ramp_up_fraction_per_min = 6.0
wake_fraction_per_5s = 1.0
min_on_s = 1.0
min_off_s = 1.0
max_cycles_per_day = 1000
confirm_timeout_s = 4.0
[poll]
interval_s = 2.0
backoff_max_s = 3.0
[[circuit]]
name = "site"
rating_kw = {CAP * full_kw:.3f}
{circuits}
[[signal]]
name = "moves"
kind = "schedule"
file = "{folder}/schedule.json"
timezone = "UTC"
[store]
kind = "postgres"
dir = "{home}"
dsn_file = "{home}/dsn"
[workers]
name = "w-{number}"
lease_s = {lease_s}
[history]
enabled = false
[metrics]
listen = "127.0.0.1:{metrics_port}"
[api]
socket = "{home}/farmctl.sock"
""",
        encoding="utf-8",
    )
    return path


def schedule(folder: Path, made: World, number: int = 0, share: float | None = None) -> None:
    """A target from now on, for longer than anybody looks ahead: nobody is woken for what is known to end soon.

    `share` of what all draw at full; None: the next of MOVES.
    """
    share = MOVES[number % len(MOVES)] if share is None else share
    start = datetime.now(UTC).replace(microsecond=0)
    entry = {
        "name": f"move-{number}",
        "start": start.isoformat(),
        "end": (start + timedelta(seconds=HORIZON_S)).isoformat(),
        "targetKw": round(share * full_w(made) / 1e3, 3),
        "class": "TARGET",
    }
    new = folder / "schedule.new"
    new.write_text(json.dumps({"timezone": "UTC", "entry": [entry]}), encoding="utf-8")
    new.replace(folder / "schedule.json")


def target_kw(folder: Path) -> float:
    """What the schedule wants now."""
    return float(json.loads((folder / "schedule.json").read_text(encoding="utf-8"))["entry"][0]["targetKw"])


async def moving(folder: Path, made: World) -> None:
    """Another target every few seconds, until cancelled."""
    for number in count(1):
        await asyncio.sleep(MOVE_S)
        schedule(folder, made, number)
