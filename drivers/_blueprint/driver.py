"""Copy me: a whole driver of a made-up family that speaks the cgminer API; every REPLACE says what to change.

1. Copy this folder to `drivers/<family>/`; when it grows, move the parsing to `wire.py` (bytes and fields, no
   decisions) and leave here what the family can do.
2. Add one line to `drivers.BUILTIN` and one entry point to `pyproject.toml`.
3. Put recorded or hand-written answers under `tests/drivers/fixtures/<family>/<firmware>/`, one test per
   firmware, and the safety test: pools, passwords and fans byte-identical after every power write.
4. Write `QUALITY.toml`: what is proved, and by which test.
"""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import override

from drivers._wire.cgminer import API_PORT, ask, request
from drivers._wire.fields import flag, mac, number, row, rows, status, text
from farmctl.core.model import MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, Pool, Reading

# REPLACE: the one request that tells most; a poll should cost one connection.
POLL = request("summary")
VERSION = request("version")
POOLS = request("pools")

# REPLACE: the unit of the device's hash rate, with the recording that shows it.
HASHES_PER_GIGAHASH = 1e9

# REPLACE: what the machine draws asleep, with its evidence; above it nothing counts as curtailed.
STANDBY_W = 200.0


class BlueprintDriver(Driver):
    """Makes devices of the blueprint family; keeps no state of any of them."""

    name = "blueprint"  # REPLACE: the key in BUILTIN and in the inventory
    doors = frozenset({"api:cgminer"})  # REPLACE: port and protocol, of which one must be open to be identified

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        return await _identify(endpoint.host, endpoint.port("api", API_PORT))

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return BlueprintDevice(endpoint)


class BlueprintDevice(Device):
    """One miner at one endpoint.

    Capabilities are methods that the ports name (`apply`, `ladder`, `prepare`, `locate`, `reboot`): have those
    that the machine really has and leave the others out; nobody wants a NotImplementedError.
    """

    serial_only = False  # REPLACE: True where the machine cannot take two connections at a time

    def __init__(self, endpoint: Endpoint) -> None:
        self.host = endpoint.host
        self.port = endpoint.port("api", API_PORT)
        self._writes = asyncio.Lock()  # one write at a time; polls need no turn

    @override
    async def poll(self) -> Reading:
        fields = row(await self._ask(POLL), "SUMMARY")
        if not fields:
            raise MalformedReplyError(f"{self.host}:{self.port} answered summary without a SUMMARY row")
        power_w = number(fields.get("Power"))  # REPLACE: NaN where the machine measures no power
        hash_rate_hs = number(fields.get("GHS 5s")) * HASHES_PER_GIGAHASH
        is_asleep = flag(fields.get("Asleep"))  # REPLACE: the field that tells sleeping from broken
        return Reading(
            state=_state(is_asleep, power_w, hash_rate_hs),
            power_w=power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=hash_rate_hs,
            temperature_c=number(fields.get("Temperature")),
            uptime_s=number(fields.get("Elapsed")),
            # Only what the device itself says; None while that is unknown.
            setting=None if is_asleep is None else "sleep" if is_asleep else "full",
        )

    @override
    async def facts(self) -> Facts:
        identity = await _identify(self.host, self.port)
        if identity is None:
            raise MalformedReplyError(f"{self.host}:{self.port} no longer answers as the blueprint family")
        pools = rows(await self._ask(POOLS), "POOLS")
        return Facts(
            identity=identity,
            pools=tuple(Pool(url=text(p.get("URL")), user=text(p.get("User")), alive=None) for p in pools),
            boards=None,
            nominal_hash_rate_hs=float("nan"),
            nominal_power_w=float("nan"),
        )

    @override
    async def close(self) -> None:
        """REPLACE: give back sessions and kept connections; safe to call twice."""

    async def apply(self, point: OperatingPoint) -> None:
        """Command one absolute point; a yes is no proof, the next polls are.

        REPLACE the commands. Send the power setting alone: never read, change and write back a configuration,
        because a read that failed would then erase the pools (DEVICES.md 2.1, Antminer pool wipe).
        """
        match point.setting:
            case "sleep":
                await self._write("sleep")
            case "full":
                await self._write("wakeup")
            case other:
                raise RefusedError(f"{self.host}: no setting {other!r} here, expected sleep or full")

    async def _write(self, command: str, parameter: str = "") -> None:
        async with self._writes:
            head = status(await self._ask(request(command, parameter)))
        if head.is_refusal or not head.letter:
            raise RefusedError(f"{self.host}:{self.port} refuses {command}: code {head.code} {head.message!r}")

    async def _ask(self, payload: bytes) -> dict[str, Any]:
        return await ask(self.host, self.port, payload)


def _state(is_asleep: bool | None, power_w: float, hash_rate_hs: float) -> MinerState:  # noqa: FBT001 - three-valued
    """Watts and hashes first, the device's word second; a failed read is unknown, never asleep."""
    if hash_rate_hs > 0:
        return MinerState.HASHING
    if is_asleep is None or power_w >= STANDBY_W:
        return MinerState.UNKNOWN
    return MinerState.CURTAILED if is_asleep else MinerState.FAULT


async def _identify(host: str, port: int) -> Identity | None:
    """REPLACE: the cheapest request that only this family answers like this; None for every other one."""
    fields = row(await ask(host, port, VERSION), "VERSION")
    if "Blueprint" not in fields:
        return None
    address = mac(fields.get("MAC"))
    if not address:
        raise MalformedReplyError(f"{host}:{port} says no MAC in version, and an address is no identity")
    return Identity(
        miner_id=MinerId(address),
        driver=BlueprintDriver.name,
        model=text(fields.get("Model")),
        firmware=text(fields.get("Blueprint")),
        mac=address,
    )
