"""The description of a simulated farm: TOML text -> checked values -> one spec per miner.

A description has one [farm] table and any number of [[group]] tables; see FarmTable and GroupTable
for the keys.  Every group is `count` equal miners on consecutive addresses from `address` on.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.faults import Fault
from simulators.miner import Endpoint, Identity, MinerSpec, Pool, Settings
from simulators.personality import PERSONALITIES, Family, Personality, Quirk, personality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HTTP_FAMILIES = frozenset(
    {
        Family.ANTMINER,
        Family.LUXOS,
        Family.VNISH,
        Family.BRAIINS,
        Family.BITAXE,
        Family.AURADINE,
        Family.EPIC,
    }
)
GRPC_FAMILIES = frozenset({Family.BRAIINS})
API3_FAMILIES = frozenset({Family.WHATSMINER_V3})
HTTP_PORTS = {Family.AURADINE: 8080}
"""Where the web API is not on port 80."""
ADMIN_FAMILIES = frozenset({Family.VNISH, Family.AURADINE})
"""Web servers whose factory password is admin."""
API_PASSWORDS = {Family.WHATSMINER: "admin", Family.WHATSMINER_V3: "super"}
WEB_PASSWORDS = {Family.EPIC: "letmein"}
PORTS_PER_MINER = 4
LOCAL = "127.0.0.1"
LAST_PORT = 65_535
DEFAULT_MIX = {"m50": 3, "m60s": 2, "s21": 2, "luxos-s19kpro": 2, "luxos-s21": 1}
REPORT_SPREAD = 0.02
FIRST_NET = 10


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultTable(_Table):
    """One scripted fault: what, when, for how long, and for which part of the group."""

    fault: Fault
    at_s: float = Field(default=0.0, ge=0)
    for_s: float = Field(default=1e12, gt=0)
    fraction: float = Field(default=1.0, gt=0, le=1)
    params: dict[str, float | str] = Field(default_factory=dict)


class PortsTable(_Table):
    """Ports of a miner; the real ones by default."""

    api: int = Field(default=4028, ge=1, le=LAST_PORT)
    http: int = Field(default=80, ge=0, le=LAST_PORT)
    grpc: int = Field(default=50051, ge=0, le=LAST_PORT)
    api3: int = Field(default=4433, ge=1, le=LAST_PORT)


class FarmTable(_Table):
    """What holds for the whole farm."""

    seed: int = 1
    time_scale: float = Field(default=1.0, gt=0)
    ambient_c: float = 25.0
    ambient_swing_c: float = Field(default=6.0, ge=0)
    """How far ambient temperature goes up and down over a device day."""
    warming_c: float = 0.0
    warming_s: float = Field(default=1.0, gt=0)
    """The air gets `warming_c` warmer in the first `warming_s` device seconds."""
    allow_remote: bool = False
    report_error: float = Field(default=0.05, ge=-0.5, le=0.5)
    """Share by which miners report less than the plug draws (with a spread of +-2 %)."""
    ports_mode: Literal["addresses", "ports"] = "addresses"
    port_base: int = Field(default=20000, ge=1024, le=65000)
    listen: Literal["auto", "each", "shared"] = "auto"
    """A socket per address and port, one per port, or what the limit on open files permits."""


class GroupTable(_Table):
    """`count` miners of one model."""

    name: str
    model: str
    family: Family | None = None
    firmware: str | None = None
    count: int = Field(ge=1)
    address: str
    ports: PortsTable = PortsTable()
    per_container: int = Field(default=240, ge=1)
    per_rack: int = Field(default=40, ge=1)
    first_container: int = Field(default=1, ge=1)
    start: Literal["mining", "asleep"] = "mining"
    quirks: tuple[Quirk, ...] | None = None
    """Instead of the model's own."""
    faults: tuple[FaultTable, ...] = ()


class Plan(_Table):
    """A whole description."""

    farm: FarmTable = FarmTable()
    group: tuple[GroupTable, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Number of miners."""
        return sum(group.count for group in self.group)


def read_plan(text: str, source: str = "world") -> Plan:
    """Check a description; raises ValueError with every fault in it, each with its key."""
    try:
        plan = Plan.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: not TOML: {error}") from error
    except ValidationError as error:
        lines = (
            f"{source}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise ValueError("\n".join(lines)) from None
    for number, group in enumerate(plan.group):
        _check_group(group, f"{source}: group.{number}")
    return plan


def write_plan(
    miners: int, mix: Mapping[str, int], *, seed: int = 1, http_port: int = 80, first_net: int = FIRST_NET
) -> str:
    """Write the description of `miners` miners in the proportions of `mix` (model -> weight).

    Each model gets a network of its own, 127.`first_net`.0.0/16 and on.
    """
    total = sum(mix.values())
    if miners < 1 or total < 1:
        raise ValueError(f"expected at least one miner and one weight, not {miners} and {dict(mix)}")
    lines = [f"[farm]\nseed = {seed}\n"]
    left, weight_left, container = miners, total, 1
    for number, (model, weight) in enumerate(mix.items()):
        count = round(left * weight / weight_left)
        left, weight_left = left - count, weight_left - weight
        if count == 0:
            continue
        family = personality(model).family
        ports = f"ports = {{ api = 4028, http = {http_port} }}\n"
        lines.append(
            f'[[group]]\nname = "{model}"\nfamily = "{family}"\nmodel = "{model}"\n'
            f'count = {count}\naddress = "127.{first_net + number}.0.1"\nfirst_container = {container}\n'
            f"{ports}"
        )
        container += -(-count // GroupTable.model_fields["per_container"].default)
    return "\n".join(lines)


def resized(plan: Plan, miners: int) -> Plan:
    """Scale the counts of a plan to `miners` in all; no group vanishes unless there are too few."""
    left, size_left = miners, plan.size
    groups = []
    for group in plan.group:
        count = round(left * group.count / size_left)
        left, size_left = left - count, size_left - group.count
        if count:
            groups.append(group.model_copy(update={"count": count}))
    if not groups:
        raise ValueError(f"--miners {miners}: expected at least 1")
    return plan.model_copy(update={"group": tuple(groups)})


def specs(plan: Plan) -> Iterator[tuple[GroupTable, MinerSpec]]:
    """Give every miner its identity, address and settings, the same ones for the same seed."""
    rng = np.random.default_rng(plan.farm.seed)
    row = 0
    for group in plan.group:
        person = personality(group.model)
        if group.firmware:
            person = _with_firmware(group)
        first = ipaddress.ip_address(group.address)
        for n in range(group.count):
            share = 1 - plan.farm.report_error + float(rng.normal(0, REPORT_SPREAD))
            exact = plan.farm.report_error == 0
            identity = _identity(group, row, n, rng)
            yield (
                group,
                MinerSpec(
                    personality=person,
                    quirks=person.quirks if group.quirks is None else frozenset(group.quirks),
                    identity=identity,
                    endpoint=_endpoint(plan.farm, group, row, str(first + n), person.family),
                    settings=_settings(identity, person.family),
                    report_share=1.0 if exact else share,
                ),
            )
            row += 1


def _check_group(group: GroupTable, where: str) -> None:
    if group.model not in PERSONALITIES:
        raise ValueError(f"{where}.model: {group.model!r}: expected one of {', '.join(PERSONALITIES)}")
    family = personality(group.model).family
    if group.family not in {None, family}:
        raise ValueError(f"{where}.family: {group.model} is {family}, not {group.family}")
    try:
        ipaddress.ip_address(group.address) + (group.count - 1)
    except ValueError as error:
        raise ValueError(f"{where}.address: {group.address!r}: {error}") from None


def _with_firmware(group: GroupTable) -> Personality:
    return replace(personality(group.model), firmware=group.firmware or "")


def _identity(group: GroupTable, row: int, n: int, rng: np.random.Generator) -> Identity:
    tail = rng.integers(0, 256, 2)
    mac = f"02:{row >> 16 & 255:02X}:{row >> 8 & 255:02X}:{row & 255:02X}:{tail[0]:02X}:{tail[1]:02X}"
    container = f"C{group.first_container + n // group.per_container:03d}"
    rack = f"{container}-R{n % group.per_container // group.per_rack + 1:02d}"
    return Identity(
        mac=mac,
        serial=f"SIM{row:07d}{tail[0]:02X}{tail[1]:02X}",
        hostname=f"{group.name}-{n + 1}",
        container=container,
        rack=rack,
    )


def _endpoint(farm: FarmTable, group: GroupTable, row: int, host: str, family: Family) -> Endpoint:
    has_http, has_grpc, has_api3 = family in HTTP_FAMILIES, family in GRPC_FAMILIES, family in API3_FAMILIES
    if farm.ports_mode == "ports":
        port = farm.port_base + PORTS_PER_MINER * row
        if port + PORTS_PER_MINER > LAST_PORT:
            raise ValueError(f"farm.port_base: miner {row} would get port {port}: too many miners")
        return Endpoint(
            host=LOCAL,
            api=port,
            http=port + 1 if has_http else 0,
            grpc=port + 2 if has_grpc else 0,
            api3=port + 3 if has_api3 else 0,
        )
    ports = group.ports
    http = ports.http if "http" in ports.model_fields_set else HTTP_PORTS.get(family, ports.http)
    return Endpoint(
        host=host,
        api=ports.api,
        http=http if has_http else 0,
        grpc=ports.grpc if has_grpc else 0,
        api3=ports.api3 if has_api3 else 0,
    )


def _settings(identity: Identity, family: Family) -> Settings:
    user = f"farm.{identity.serial}"
    pools = [Pool(url=f"stratum+tcp://pool{n}.example:3333", user=user, password=f"pw-{n}") for n in (1, 2, 3)]
    password = API_PASSWORDS.get(family, "root")
    web_password = "admin" if family in ADMIN_FAMILIES else WEB_PASSWORDS.get(family, "root")
    return Settings(pools=pools, api_password=password, web_password=web_password, extra={"fan_zero_speed": "0"})
