"""One Braiins OS miner: finds the door it opens, polls three pages, commands pause, resume and a power target."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, nan
from time import monotonic
from typing import Any

from typing_extensions import override

from drivers._wire.cgminer import API_PORT
from drivers._wire.digest import NotServedError, SharedWeb
from drivers._wire.rest import RestClient, UnauthorizedError
from drivers.braiins import wire
from drivers.braiins.doors import Door, RestDoor
from drivers.braiins.graphql_door import GraphqlDoor
from drivers.braiins.grpc_door import GrpcDoor
from drivers.braiins.wire import Cooling, Details, Limits, Stats, Status, Target
from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Endpoint, Facts, Identity, Reading

NAME = "braiins"
FACTORY = Credentials(user="root", password="root")  # noqa: S106 - printed in the manual, same on every unit
GRPC_PORT = 50051
DRAWS_W = 200.0
"""Above this the miner is not asleep, whatever it says: paused is control board and fans."""
BOOT_S = 600.0
REREAD_S = 60.0
"""How old the target and the boards' temperatures may get; a write makes the target due at once."""
COOL_S = 15.0
"""How old heat and fans may get: a chip warms by some degrees in that time, and the firmware guards itself."""
QUICK_DOWN_S, QUICK_UP_S = 2, 5
"""Ramps that 25.07 and later take from `performance/quick-ramping`; slower ones are for tuning, not for the grid."""
RAMP_RETRY_S = 3600.0
NO_LIMITS = Limits(default_w=nan, low_w=nan, high_w=nan)


class BraiinsDevice(Device):
    """One Braiins OS miner; polls and writes travel side by side."""

    serial_only = False
    prepared_s = 600.0  # the API's tokens live an hour; quick ramping is seen to more often

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, web: SharedWeb, clock: Callable[[], float] = monotonic
    ) -> None:
        login = Credentials(user=credentials.user or FACTORY.user, password=credentials.password or FACTORY.password)
        self._where = endpoint.host
        self._rest = RestDoor(RestClient(web, host=endpoint.host, port=endpoint.port("http", 80)), login)
        self._grpc = GrpcDoor(host=endpoint.host, port=endpoint.port("grpc", GRPC_PORT), credentials=login)
        self._graphql = GraphqlDoor(
            RestClient(web, host=endpoint.host, port=endpoint.port("http", 80)),
            host=endpoint.host,
            api_port=endpoint.port("api", API_PORT),
            credentials=login,
        )
        self._door: Door | None = None
        self._clock = clock
        self._due_s = -1.0
        self._cool_due_s = -1.0
        self._cooling = Cooling(hottest_c=nan, fans_rpm=())
        self._boards_c: tuple[float, ...] = ()
        self._target: Target | None = None
        self._own_w = nan
        self._limits: Limits | None = None
        self._ramp_due_s = -1.0
        self._idle_since_s: float | None = None

    @override
    async def poll(self) -> Reading:
        """Read stats, details and cooling; the target and the boards once a minute and after a write."""
        door = await self._speak()
        stats, details = wire.parse_stats(await door.read("miner/stats")), await self._details(door)
        if stats is None:
            raise MalformedReplyError(f"{self._where} miner/stats: neither rate nor power, expected both")
        cooling = await self._cool(door)
        if self._clock() >= self._due_s:
            self._due_s = self._clock() + REREAD_S
            self._boards_c = wire.parse_boards(await self._page(door, "miner/hw/hashboards"))
            await self._read_target(door)
        target_w = self._target.current_w if self._target else nan
        return Reading(
            state=self._state(stats, details, target_w),
            power_w=stats.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=stats.hash_rate_hs,
            temperature_c=cooling.hottest_c,
            uptime_s=details.uptime_s,
            setting=_setting(details, self._target),
            power_limit_w=target_w,
            fans_rpm=cooling.fans_rpm,
            board_temperatures_c=self._boards_c,
        )

    @override
    async def facts(self) -> Facts:
        door = await self._speak()
        details = await self._details(door)
        boards = wire.parse_boards(await self._page(door, "miner/hw/hashboards"))
        limits = await self._read_limits(door)
        pools = await self._page(door, "pools")
        return Facts(
            identity=self._identified(details),
            # A firmware that wants its slash redirects there, which is no answer.
            pools=wire.parse_pools(pools if pools is not None else await self._page(door, "pools/")),
            boards=len(boards) or None,
            nominal_hash_rate_hs=details.sticker_hs,
            nominal_power_w=limits.default_w,
        )

    async def identity(self) -> Identity:
        """Ask who answers."""
        return self._identified(await self._details(await self._speak()))

    async def ladder(self) -> Ladder | None:
        """The targets that the tuner has measured, up to full; None where it has fewer than two."""
        door = await self._speak()
        details = await self._details(door)
        await self._read_limits(door)
        if self._target is None:
            await self._read_target(door)
        profiles = wire.parse_profiles(await self._page(door, "performance/target-profiles"))
        return wire.make_ladder(profiles, self._full_w(), details.firmware)

    async def prepare(self) -> None:
        """Have a token, and the firmware's leave to ramp in seconds."""
        await (await self._speak()).prepare()
        await self._ramp_quickly()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `watts:N` or `percent:N`; none restarts the mining process.

        `full` is the larger of the vendor's default and the first target this device saw. Raises RefusedError for
        any other setting and for a target outside the firmware's range.
        """
        door = await self._speak()
        kind, _, value = point.setting.partition(":")
        if kind == "sleep":
            await self._ramp_quickly()
            await door.pause()
            return
        if kind == "full":
            await self._follow_full(door)
        elif kind == "watts" and value.isdecimal():
            await self._follow(door, int(value))
        elif kind == "percent" and value.isdecimal() and 0 < int(value) <= 100:  # noqa: PLR2004 - per cent
            await self._follow_share(door, int(value))
        else:
            known = "sleep, full, watts:N, percent:N"
            raise RefusedError(f"{self._where}: Braiins OS has no setting {point.setting!r}, expected {known}")
        # The target first: a miner that wakes into yesterday's target overshoots until the second write.
        await door.resume()

    async def apply_fast(self, point: OperatingPoint) -> None:
        """The same with quick ramping, for a target and a wake too."""
        await self._ramp_quickly()
        await self.apply(point)

    async def locate(self, *, on: bool) -> None:
        """Switch the light."""
        await (await self._speak()).locate(on=on)

    async def reboot(self) -> None:
        """Restart the control board; it takes the token with it."""
        await (await self._speak()).reboot()

    @override
    async def close(self) -> None:
        await self._rest.close()
        await self._grpc.close()
        await self._graphql.close()

    async def _speak(self) -> Door:
        """The door this firmware opens: REST, gRPC where there is no such page, GraphQL where there is neither."""
        if self._door is None:
            self._door = await self._open(self._rest, self._grpc, self._graphql)
        return self._door

    async def _open(self, door: Door, *others: Door) -> Door:
        """The first of these doors that lets us in; raises what the last one raises."""
        try:
            await door.prepare()
        except (NotServedError, MalformedReplyError, RefusedError):
            if not others:
                raise
        except SilentPeerError as silence:
            if not others or not isinstance(silence.__cause__, ConnectionRefusedError):
                raise
        else:
            return door
        return await self._open(*others)

    async def _ramp_quickly(self) -> None:
        """Best effort, once in a while: what fails here must not keep a pause from being sent."""
        if self._clock() < self._ramp_due_s:
            return
        self._ramp_due_s = self._clock() + RAMP_RETRY_S
        try:
            await (await self._speak()).ramp_quickly(down_s=QUICK_DOWN_S, up_s=QUICK_UP_S)
        except UnauthorizedError:
            raise
        except FarmError:
            return

    async def _follow(self, door: Door, watts: int) -> None:
        limits = await self._read_limits(door)
        if watts < limits.low_w or watts > limits.high_w or watts <= 0:
            within = f"{limits.low_w:.0f}..{limits.high_w:.0f}"
            raise RefusedError(f"{self._where}: watts:{watts}, expected {within}")
        self._due_s = -1.0
        await door.set_watts(watts)

    async def _follow_full(self, door: Door) -> None:
        if self._target is None:
            await self._read_target(door)
        await self._read_limits(door)
        full_w = self._full_w()
        if isfinite(full_w):
            try:
                await self._follow(door, int(full_w))
            except NotServedError:
                return  # GraphQL sets no targets, so nobody has set another one

    async def _follow_share(self, door: Door, percent: int) -> None:
        """Of nominal power; where the firmware knows no share, of the default target in watts."""
        self._due_s = -1.0
        try:
            await door.set_percent(percent)
        except NotServedError:
            default_w = (await self._read_limits(door)).default_w
            if not isfinite(default_w):
                raise
            await self._follow(door, round(default_w * percent / 100))

    def _full_w(self) -> float:
        default_w = self._limits.default_w if self._limits else nan
        known = [watts for watts in (default_w, self._own_w) if isfinite(watts)]
        return max(known, default=nan)

    async def _cool(self, door: Door) -> Cooling:
        """Heat and fans change slowly, and a page over gRPC costs 0.3 ms."""
        if self._clock() >= self._cool_due_s:
            self._cool_due_s = self._clock() + COOL_S
            self._cooling = wire.parse_cooling(await self._page(door, "cooling/state"))
        return self._cooling

    async def _read_target(self, door: Door) -> None:
        tuner = await self._page(door, "performance/tuner-state")
        self._target = wire.parse_target(tuner, await self._page(door, "configuration/miner"))
        if self._target is not None and not isfinite(self._own_w):
            self._own_w = self._target.configured_w

    async def _read_limits(self, door: Door) -> Limits:
        """Asked until answered: they are a table of the model."""
        if self._limits is None:
            reply = await self._page(door, "configuration/constraints")
            if reply is None:
                return NO_LIMITS
            self._limits = wire.parse_limits(reply)
        return self._limits

    async def _details(self, door: Door) -> Details:
        details = wire.parse_details(await door.read("miner/details"))
        if details is None:
            raise MalformedReplyError(f"{self._where} miner/details: no miner_identity, expected one")
        return details

    async def _page(self, door: Door, page: str) -> Any:
        """One page of several: what it says wrong costs its own fields; silence and a refused password cost all."""
        try:
            return await door.read(page)
        except (SilentPeerError, UnauthorizedError):
            raise
        except FarmError:
            return None

    def _state(self, stats: Stats, details: Details, target_w: float) -> MinerState:
        """Hashes and watts first, what the firmware says about itself second."""
        hashes, draws = stats.hash_rate_hs > 0, stats.power_w >= DRAWS_W
        if hashes or details.status is Status.PAUSED:
            self._idle_since_s = None
        if details.status is Status.PAUSED:
            if hashes or draws:
                return MinerState.HASHING if hashes and draws else MinerState.UNKNOWN
            # Its own word is not enough: something measured must say so too.
            measured = stats.hash_rate_hs == 0 or stats.power_w < DRAWS_W
            return MinerState.CURTAILED if measured else MinerState.UNKNOWN
        if hashes:
            return MinerState.THROTTLED if target_w < self._full_w() else MinerState.HASHING
        if not isfinite(stats.hash_rate_hs) or details.status is Status.UNSPECIFIED:
            return MinerState.UNKNOWN
        return self._idle_state(details)

    def _idle_state(self, details: Details) -> MinerState:
        """The process counts its age on through a pause, so how long it owes us hashes is counted here."""
        now_s = self._clock()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        waits = details.status in {Status.NOT_STARTED, Status.NORMAL} and now_s - self._idle_since_s < BOOT_S
        return MinerState.BOOTING if waits else MinerState.FAULT

    def _identified(self, details: Details) -> Identity:
        if not (details.mac or details.serial):
            raise MalformedReplyError(f"{self._where} miner/details: neither mac_address nor serial_number")
        return Identity(
            miner_id=MinerId(details.mac or details.serial),
            driver=NAME,
            model=details.model,
            firmware=details.firmware,
            mac=details.mac,
            serial=details.serial,
        )


def _setting(details: Details, target: Target | None) -> str | None:
    if details.status is Status.PAUSED:
        return "sleep"
    if target is None or not isfinite(target.configured_w):
        return None
    return f"watts:{target.configured_w:.0f}"
