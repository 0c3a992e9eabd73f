"""The long tail as a driver: identify, poll and the few control calls of pyasic that touch power alone."""

from __future__ import annotations

from math import isnan, nan

from drivers._wire import fields
from drivers.pyasic_bridge.bridge import Bridge
from drivers.pyasic_bridge.wire import Answer, Operation, Snapshot
from farmctl.core.model import MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Endpoint, Facts, Identity, Pool, Reading

READ_S = 10.0
"""A stock Antminer is twelve requests to pyasic, and its identification has a time-out of 3 s of its own."""
WRITE_S = 15.0
STANDBY_W_MAX = 150.0
"""Above every standby draw in `DEVICES.md` section 6 (10-60 W) with the 20 % that miners' own sensors are off."""
J_PER_TH_MIN = 5.0
"""Half of what the best machine on sale needs: below it one of the two figures is not about now. pyasic gives an idle
Avalon Q 44.5 TH/s, its lifetime average, while 146 W go in (`DEVICES.md` sections 2.1 and 3)."""
BOOT_S = 900.0
FIXED_PORTS = {"api": 4028, "http": 80, "api3": 4433, "grpc": 50051}


class PyasicDevice:
    """One miner of the long tail; every call crosses into the worker process."""

    serial_only = False

    def __init__(self, endpoint: Endpoint, credentials: Credentials, bridge: Bridge) -> None:
        self._host = endpoint.host
        self._credentials = credentials
        self._bridge = bridge

    async def poll(self) -> Reading:
        """Read what pyasic can; the state comes from hash rate and watts, not from its `is_mining`."""
        return reading(await self._snapshot("poll"))

    async def facts(self) -> Facts:
        """Read identity, pools and the vendor's hash rate."""
        found = await self._snapshot("facts")
        return Facts(
            identity=identity(found, self._host),
            pools=tuple(Pool(url=url, user=user, alive=alive) for url, user, alive in found.pools if url),
            boards=found.boards,
            nominal_hash_rate_hs=_or_nan(found.nominal_hs),
            nominal_power_w=nan,
        )

    async def apply(self, point: OperatingPoint) -> None:
        """Ask for `sleep`, `full` or `watts:N` where pyasic's class does that without touching anything else.

        Raises RefusedError for other settings and classes, and where pyasic says False or None. Its True is a
        question asked: `stop_mining` says it to a dead Antminer.
        """
        if point.setting not in {"sleep", "full"} and not point.setting.startswith("watts:"):
            raise RefusedError(f"{self._host}: setting {point.setting!r}, expected sleep, full or watts:N")
        await self._call("apply", argument=point.setting, deadline_s=WRITE_S)

    async def locate(self, *, on: bool) -> None:
        """Switch the light."""
        await self._call("locate", argument="on" if on else "off", deadline_s=WRITE_S)

    async def reboot(self) -> None:
        """Restart the control board."""
        await self._call("reboot", deadline_s=WRITE_S)

    async def close(self) -> None:
        """Give the worker back; the last device out ends it."""
        await self._bridge.release(self)

    async def _snapshot(self, operation: Operation) -> Snapshot:
        found = (await self._call(operation)).snapshot
        if found is None:
            raise MalformedReplyError(f"{self._host}: pyasic gave nothing to {operation}, expected a snapshot")
        return found

    async def _call(self, operation: Operation, *, argument: str = "", deadline_s: float = READ_S) -> Answer:
        self._bridge.hold(self)
        return await self._bridge.call(
            operation, self._host, self._credentials, argument=argument, deadline_s=deadline_s
        )


class PyasicDriver:
    """Everything that pyasic knows and no driver of ours does: ask it last.

    pyasic knows only the standard ports: an endpoint with others is never identified. The worker starts at the first
    call and ends with the last device that is closed, with `close`, or with this process.
    """

    name = "pyasic"

    def __init__(self, bridge: Bridge | None = None) -> None:
        self.bridge = bridge or Bridge()

    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        """Let pyasic look; the worker stays for the next address of a scan, so call `close` after one.

        Raises SilentPeerError; a refused password looks like missing fields to pyasic, hence MalformedReplyError.
        """
        if any(endpoint.port(name, standard) != standard for name, standard in FIXED_PORTS.items()):
            return None
        answer = await self.bridge.call("identify", endpoint.host, credentials, deadline_s=READ_S)
        return identity(answer.snapshot, endpoint.host) if answer.snapshot is not None else None

    def device(self, endpoint: Endpoint, credentials: Credentials) -> PyasicDevice:
        """Make the device of one miner; starts nothing yet."""
        return PyasicDevice(endpoint, credentials, self.bridge)

    async def close(self) -> None:
        """End the worker process; the next call starts another."""
        await self.bridge.close()


def identity(found: Snapshot, host: str) -> Identity:
    """Name the miner by MAC, else serial. Raises MalformedReplyError where pyasic reads neither (LuxOS)."""
    mac = fields.mac(found.mac)
    if not (mac or found.serial):
        raise MalformedReplyError(f"{host}: pyasic reads neither MAC nor serial of a {found.model}, expected one")
    return Identity(
        miner_id=MinerId(mac or found.serial),
        driver="pyasic",
        model=found.model,
        firmware=found.firmware,
        mac=mac,
        serial=found.serial,
    )


def reading(found: Snapshot) -> Reading:
    """Normalise a snapshot."""
    return Reading(
        state=state(found),
        power_w=_or_nan(found.power_w),
        power_source=PowerSource.NAMEPLATE if found.power_w is None else PowerSource.DEVICE,
        hash_rate_hs=_or_nan(found.hash_rate_hs),
        temperature_c=max(found.chips_c, default=nan),
        uptime_s=_or_nan(found.uptime_s),
        setting=None,
        power_limit_w=_or_nan(found.power_limit_w),
        fans_rpm=found.fans_rpm,
        board_temperatures_c=found.boards_c,
        errors=found.errors,
    )


def state(found: Snapshot) -> MinerState:
    """What hash rate and watts say together; asleep only if both were read.

    pyasic's `is_mining` is not even asked for: it is a constant True for six families, BTMinerV2's is False after a
    failed read, AntminerOld's after an empty one, and the rest say nothing that the two figures do not (0.79.0).
    """
    rate, watts = _or_nan(found.hash_rate_hs), _or_nan(found.power_w)
    if rate > 0:
        return MinerState.UNKNOWN if watts / (rate / 1e12) < J_PER_TH_MIN else MinerState.HASHING
    if isnan(rate) or isnan(watts):
        return MinerState.UNKNOWN
    if watts <= STANDBY_W_MAX:
        return MinerState.CURTAILED
    # Power without hashes: on its way up, or a fault if that lasts; a process that restarts shows a young uptime.
    return MinerState.FAULT if _or_nan(found.uptime_s) > BOOT_S else MinerState.BOOTING


def _or_nan(value: float | None) -> float:
    return nan if value is None else value
