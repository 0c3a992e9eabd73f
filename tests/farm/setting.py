"""What a story is set in, and the two files that describe it: the simulated farm and its farm.toml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulators.broker import free_port

SITE = "story"
TIME_SCALE = 80.0
"""A Whatsminer needs 600 s to wake; here 7.5 s."""
FIRM = 0.4
"""Fail-safe limit as a share of the rating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a story is set in."""

    net: int
    """Second octet of the miners' addresses: one per test file, so that files can run side by side."""
    mix: Mapping[str, int]
    """Model -> how many."""
    control: str = ""
    """More lines of [control]."""
    lost_s: float = 60.0
    broker: bool = True
    """False: nobody listens at the broker's address yet."""
    dsn: str = ""
    """A PostgreSQL instead of the journal file."""


def world_text(setting: Setting) -> str:
    """The simulated farm: a group and a container per model."""
    third = os.getpid() % 60 * 4
    groups = (
        f'[[group]]\nname = "{model}"\nmodel = "{model}"\ncount = {count}\nfirst_container = {number + 1}\n'
        f'address = "127.{setting.net}.{third + number}.1"\nports = {{ api = 4028, http = 8080 }}\n'
        for number, (model, count) in enumerate(setting.mix.items())
    )
    return f"[farm]\nseed = 7\ntime_scale = {TIME_SCALE}\nambient_swing_c = 0.0\n" + "\n".join(groups)


def farm_text(setting: Setting, *, folder: Path, rated_kw: float, meter_port: int, broker_port: int) -> str:
    """The farm.toml of the site."""
    containers = (f"C{number + 1:03d}" for number in range(len(setting.mix)))
    circuits = "".join(f'[[circuit]]\nname = "{name}"\nparent = "site"\n' for name in containers)
    rated = f"{rated_kw:.1f}"
    database = f'kind = "postgres"\ndsn_file = "{folder}/dsn"' if setting.dsn else ""
    return f"""
[site]
name = "{SITE}"
rated_kw = {rated}
standing_kw = {rated}
failsafe_limit_kw = {FIRM * rated_kw:.1f}
[control]
ramp_up_fraction_per_min = 6.0
wake_fraction_per_5s = 1.0
min_on_s = 1.0
min_off_s = 1.0
confirm_timeout_s = 4.0
{setting.control}
[poll]
interval_s = 1.0
backoff_max_s = 3.0
seen_stale_s = 6.0
[[circuit]]
name = "site"
rating_kw = {rated}
meter = "main"
{circuits}
[[meter]]
name = "main"
kind = "modbus"
host = "127.0.0.1"
port = {meter_port}
site = true
period_s = 0.5
[[meter.registers]]
name = "kw"
address = 0
type = "f32"
[[signal]]
name = "grid"
kind = "mqtt"
brokers = ["127.0.0.1:{broker_port}"]
op = "grid-op"
programmes = ["surplus-dispatch"]
auth = "unsigned-demo"
heartbeat_lost_s = {setting.lost_s}
heartbeat_alarm_s = {min(setting.lost_s, 30.0)}
[store]
dir = "{folder}"
{database}
[metrics]
listen = "127.0.0.1:{free_port()}"
[api]
socket = "{folder}/farmctl.sock"
"""
