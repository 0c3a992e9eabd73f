"""VNish: polled by its summary, commanded by stop, resume, throttle and presets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from typing_extensions import override

from drivers._wire.digest import NotServedError, SharedWeb
from drivers._wire.fields import text
from drivers._wire.rest import Request, RestClient, TokenClient, UnauthorizedError
from drivers.vnish import wire
from drivers.vnish.wire import API, Info, Preset, Summary
from farmctl.core.model import Ladder, MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, PoolLogin, Reading

FACTORY_PASSWORD = "admin"  # noqa: S105 - printed in the vendor's manual, same on every unit
DRAWS_W = 200.0
"""Above this the miner is not asleep, whatever it says: stopped is control board and fans."""
BOOT_S = 600.0
"""Boots like stock, 2-6 min; an awake machine without hash rate for longer is at fault."""
REREAD_S = 600.0
"""How old the name of the preset may get; the firmware's own preset switcher checks every 300 s or slower."""
STOPPED = frozenset({"stopped", "paused", "idle"})
FAILED = frozenset({"failure", "failed", "broken"})
STARTING = frozenset({"initializing", "starting", "restarting", "auto-tuning", "mining"})


class VnishDriver(Driver):
    """Makes devices of Antminers that run VNish; they share one web session."""

    name = "vnish"
    factory = Credentials(password=FACTORY_PASSWORD)
    doors = frozenset({"http:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        device = VnishDevice(endpoint, credentials, self._web)
        try:
            return await device.identity()
        except (NotServedError, RefusedError, MalformedReplyError, UnauthorizedError):
            return None
        finally:
            await device.close()

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return VnishDevice(endpoint, credentials, self._web)


class VnishDevice(Device):
    """One VNish miner; its user is its password alone."""

    serial_only = False
    prepared_s = 600.0  # unlock tokens are not dated; a dead one costs a write one request more

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, web: SharedWeb, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rest = RestClient(web, host=endpoint.host, port=endpoint.port("http", 80))
        self._api = TokenClient(self._rest, log_in=self._unlock)
        self._password = credentials.password or FACTORY_PASSWORD
        self._clock = clock
        self._preset = ""
        self._preset_due_s = -1.0
        self._is_asleep: bool | None = None
        self._idle_since_s: float | None = None

    @override
    async def poll(self) -> Reading:
        """Read summary in one request; the preset's name every ten minutes and after a write."""
        summary = await self._summary()
        name = await self._preset_name()
        return Reading(
            state=self._state(summary),
            power_w=summary.power_w,
            power_source=PowerSource.DEVICE,
            hash_rate_hs=summary.hash_rate_hs,
            temperature_c=summary.hottest_c,
            uptime_s=summary.state_s,
            setting=_setting(summary, name),
            fans_rpm=summary.fans_rpm,
            board_temperatures_c=summary.boards_c,
            errors=summary.errors,
        )

    @override
    async def facts(self) -> Facts:
        identity = await self.identity()
        if identity is None:
            raise MalformedReplyError(f"{self._rest.where} no longer answers as VNish")
        summary = await self._summary()
        preset = await self._current_preset()
        return Facts(
            identity=identity,
            pools=summary.pools,
            boards=summary.boards,
            nominal_hash_rate_hs=summary.stock_hs,
            nominal_power_w=preset.power_w if preset else float("nan"),
        )

    async def identity(self) -> Identity | None:
        """Ask who answers; None: not VNish."""
        info = await self._info()
        if info is None:
            return None
        if not (info.mac or info.serial):
            raise MalformedReplyError(f"{self._rest.where} runs VNish and says neither mac nor serial in info")
        return Identity(
            miner_id=MinerId(info.mac or info.serial),
            driver=VnishDriver.name,
            model=info.model,
            firmware=info.firmware,
            mac=info.mac,
            serial=info.serial,
        )

    async def ladder(self) -> Ladder | None:
        """Shares of the preset in force where the firmware throttles, else its tuned presets."""
        summary = await self._summary()
        info = await self._info()
        version = info.firmware if info else ""
        if summary.percent is not None:
            preset = await self._current_preset()
            return wire.throttle_ladder(preset, version) if preset else None
        presets = wire.parse_presets(await self._get("autotune/presets", needs_token=True))
        return wire.preset_ladder(presets, await self._preset_name(), summary.stock_hs, version)

    async def prepare(self) -> None:
        """Have an unlock token."""
        await self._api.prepare()

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `percent:N`, `profile:NAME` or `watts:N`; no other key is written.

        `full` wakes and takes a throttle back; the preset it wakes into is the one that is set. Raises RefusedError
        for a setting that this firmware does not have.
        """
        kind, _, value = point.setting.partition(":")
        if kind == "sleep":
            await self._post("mining/stop")
            self._is_asleep = True
            return
        if kind == "full":
            await self._wake()
            await self._unthrottle()
        elif kind == "percent" and value.isdecimal():
            await self._throttle(int(value))
            await self._wake()
        elif kind == "profile" and value:
            await self._choose(value)
            await self._wake()
        elif kind == "watts" and value.isdecimal():
            await self._choose(await self._preset_below(int(value)))
            await self._wake()
        else:
            known = "sleep, full, percent:N, profile:NAME, watts:N"
            raise RefusedError(f"{self._rest.where}: VNish has no setting {point.setting!r}, expected {known}")
        self._is_asleep = False

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most; no other key is written."""
        if not 1 <= len(pools) <= wire.MOST_POOLS:
            raise RefusedError(f"{self._rest.where}: {len(pools)} pools, expected 1 to {wire.MOST_POOLS}")
        await self._restart_if_asked(await self._post("settings", {"miner": {"pools": wire.pool_rows(pools)}}))

    async def locate(self, *, on: bool) -> None:
        """Blink, or stop blinking."""
        await self._post("find-miner", {"on": on})

    async def reboot(self) -> None:
        """Restart the control board; it takes the token with it."""
        self._is_asleep = None
        await self._api.ask(Request(method="POST", path=f"{API}system/reboot", payload={}, once=True))

    @override
    async def close(self) -> None:
        await self._rest.close()

    def _state(self, summary: Summary) -> MinerState:
        """Watts and hashes first, what the firmware says about itself second."""
        if summary.hash_rate_hs > 0 and not summary.power_w < DRAWS_W:
            self._idle_since_s = None
            throttled = summary.percent is not None and summary.percent < wire.PERCENT_HIGH
            return MinerState.THROTTLED if throttled else MinerState.HASHING
        if summary.state in STOPPED:
            self._idle_since_s = None
            # Its own word is not enough: something measured must say so too, and nothing measured say no.
            measured = summary.hash_rate_hs == 0 or summary.power_w < DRAWS_W
            denied = summary.hash_rate_hs > 0 or summary.power_w >= DRAWS_W
            return MinerState.CURTAILED if measured and not denied else MinerState.UNKNOWN
        if summary.state in STARTING:
            return self._idle_state()
        return MinerState.FAULT if summary.state in FAILED else MinerState.UNKNOWN

    def _idle_state(self) -> MinerState:
        """Counted here: `miner_state_time` was 4,422 s beside an `Elapsed` of 4,423, so it is no state's own age."""
        now_s = self._clock()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return MinerState.BOOTING if now_s - self._idle_since_s < BOOT_S else MinerState.FAULT

    async def _info(self) -> Info | None:
        """Asked without a token: until it has said who it is, it is not told the password."""
        return wire.parse_info(await self._rest.ask(Request(method="GET", path=f"{API}info")))

    async def _summary(self) -> Summary:
        summary = wire.parse_summary(await self._get("summary"))
        if summary is None:
            raise MalformedReplyError(f"{self._rest.where} {API}summary: no miner, expected an object")
        # Shutting down and failed are asleep here: both need the resume that mining ones must not get.
        self._is_asleep = summary.state not in STARTING if summary.state else None
        return summary

    async def _preset_name(self) -> str:
        """Name of the preset in force; empty while it cannot be read, which is no failed poll."""
        if self._clock() >= self._preset_due_s:
            self._preset_due_s = self._clock() + REREAD_S
            try:
                self._preset = wire.parse_current_preset(await self._get("perf-summary"))
            except SilentPeerError:
                raise
            except FarmError:
                self._preset = ""
        return self._preset

    async def _current_preset(self) -> Preset | None:
        reply = await self._get("perf-summary")
        current = reply.get("current_preset") if isinstance(reply, dict) else None
        found = wire.parse_presets([current])
        return found[0] if found else None

    async def _wake(self) -> None:
        """Resume unless the last look saw it awake; one that cannot be read is woken to be sure."""
        if self._is_asleep is None:
            try:
                await self._summary()
            except FarmError:
                self._is_asleep = None
        if self._is_asleep is not False:
            await self._post("mining/resume")

    async def _throttle(self, percent: int) -> None:
        low, high = wire.PERCENT_LOW, wire.PERCENT_HIGH
        if not low <= percent <= high:
            raise RefusedError(f"{self._rest.where}: percent:{percent}, expected {low}..{high}")
        await self._restart_if_asked(await self._post("mining/throttle", {"percent": percent}))

    async def _unthrottle(self) -> None:
        """A machine left at 50 % would wake to 50 %; older firmware has no throttle to take back."""
        try:
            await self._throttle(wire.PERCENT_HIGH)
        except NotServedError:
            return

    async def _choose(self, preset: str) -> None:
        """Name the preset and nothing else: keys that are not sent are kept."""
        self._preset_due_s = -1.0
        keys = {"miner": {"overclock": {"preset": preset}}}
        await self._restart_if_asked(await self._post("settings", keys))

    async def _preset_below(self, watts: int) -> str:
        presets = wire.parse_presets(await self._get("autotune/presets", needs_token=True))
        fitting = [each for each in presets if each.is_tuned and each.power_w <= watts]
        if not fitting:
            raise RefusedError(f"{self._rest.where}: watts:{watts}, no tuned preset at or below it")
        return fitting[-1].name

    async def _restart_if_asked(self, reply: object) -> None:
        if wire.needs_restart(reply):
            await self._post("mining/restart")

    async def _unlock(self) -> str:
        reply = await self._rest.ask(Request(method="POST", path=f"{API}unlock", payload={"pw": self._password}))
        token = text(reply.get("token")) if isinstance(reply, dict) else ""
        if not token:
            raise MalformedReplyError(f"{self._rest.where} {API}unlock: no token, expected one")
        return f"Bearer {token}"

    async def _get(self, name: str, *, needs_token: bool = False) -> Any:
        return await self._api.ask(Request(method="GET", path=API + name), needs_token=needs_token)

    async def _post(self, name: str, payload: object = None) -> Any:
        return await self._api.ask(Request(method="POST", path=API + name, payload=payload or {}))


def _setting(summary: Summary, preset: str) -> str | None:
    if not summary.state:
        return None
    if summary.state in STOPPED:
        return "sleep"
    if summary.percent is not None:
        return "full" if summary.percent >= wire.PERCENT_HIGH else f"percent:{summary.percent}"
    return f"profile:{preset}" if preset else None
