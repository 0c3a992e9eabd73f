"""One stock Antminer: polls on 4028, asks its pages whether silence there is sleep, writes power keys alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite, nan
from time import monotonic

from drivers._wire import cgminer
from drivers._wire.digest import DigestClient, NotServedError, SharedWeb
from drivers.antminer import pages, wire
from drivers.antminer.pages import Mode, PercentRange, WorkConf
from drivers.antminer.wire import Live
from farmctl.core.model import MinerId, MinerState, OperatingPoint, PowerSource
from farmctl.errors import FarmError, MalformedReplyError, RefusedError, SilentPeerError
from farmctl.ports.devices import Credentials, Endpoint, Facts, Identity, PoolLogin, Reading

FACTORY = Credentials(user="root", password="root")  # noqa: S106  printed in Bitmain's manual, same on every unit
WRITE_ANSWER_S = 25.0
"""`set_miner_conf.cgi` answers after 21 s on an S19j Pro of December 2022 (asic-rs issue 245), elsewhere after 1-2.

A second write beside the first would rewrite the same file."""
BOOT_S = 600.0
"""Stock firmware needs 2-6 min from wake to hashing; after this an awake machine without hash rate is at fault."""
REREAD_S = 3600.0
"""How old the device's own setting may get; somebody at its web page can change it behind our back."""
RETRY_S = 60.0
"""A page that failed is not asked again on every poll: its deadline would cost the slot each time."""
NO_PAGE = Live(
    hash_rate_hs=nan,
    nominal_hs=nan,
    uptime_s=nan,
    temperature_c=nan,
    board_temperatures_c=(),
    fans_rpm=(),
    boards=None,
)


class AntminerDevice:
    """A stock Antminer; one web request at a time, polls on 4028 beside it."""

    serial_only = False
    prepared_s = 600.0  # a nonce is not dated; a dead one costs a write one request more

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, web: SharedWeb, clock: Callable[[], float] = monotonic
    ) -> None:
        self._host = endpoint.host
        self._api_port = endpoint.port("api", wire.API_PORT)
        self._web = DigestClient(
            web,
            host=endpoint.host,
            port=endpoint.port("http", 80),
            user=credentials.user or FACTORY.user,
            password=credentials.password or FACTORY.password,
        )
        self._clock = clock
        self._conf: WorkConf | None = None
        self._takes_json = False
        self._conf_due_s = -1.0
        self._idle_since_s: float | None = None
        self._percent: PercentRange | None = None
        self._percent_known = False
        self._tells_watts: bool | None = None
        """Whether the page's figures have watts in them; None: not yet asked, or asked an hour ago."""

    async def poll(self) -> Reading:
        """Read 4028 `stats` in one connection; pages only where it says no hash rate, after a write, and hourly.

        Nearly all stock firmware reports no watts: `power_w` is NaN with source NAMEPLATE. A page that fails leaves the
        state UNKNOWN; only a work mode that was read makes it CURTAILED.
        """
        live = await self._live()
        if live is None or not live.hash_rate_hs > 0:
            return await self._reading_without_hash(live)
        self._idle_since_s = None
        setting = await self._setting()
        if self._tells_watts is None:
            live = await self._with_watts(live)
        return _reading(live, _awake(setting), setting)

    async def facts(self) -> Facts:
        """Read identity, pools and nominal rate; asleep the pools come from the configuration and no rate is known."""
        identity = await self.identity()
        try:
            conf = await self._read_conf()
        except (MalformedReplyError, RefusedError):
            conf = None  # S9-class firmware shows no work mode, and is watched, not commanded
        try:
            live = wire.read_stats(await self._api(wire.STATS))
            pools = wire.read_pools(await self._api(wire.POOLS))
        except (SilentPeerError, MalformedReplyError):
            live, pools = None, ()
        return Facts(
            identity=identity,
            pools=pools or (conf.pools if conf else ()),
            boards=live.boards if live else None,
            nominal_hash_rate_hs=live.nominal_hs if live else nan,
            nominal_power_w=nan,
        )

    async def identity(self, version: wire.Version | None = None) -> Identity:
        """Ask the control board who it is; `version` fills in what its page leaves out."""
        system = pages.read_system(await self._web.get(pages.SYSTEM), self._at(pages.SYSTEM))
        if not (system.mac or system.serial):
            raise MalformedReplyError(f"{self._at(pages.SYSTEM)}: neither macaddr nor serinum, expected one of them")
        return Identity(
            miner_id=MinerId(system.mac or system.serial),
            driver="antminer",
            model=system.model or (version.model if version else ""),
            firmware=system.firmware or (version.compiled if version else ""),
            mac=system.mac,
            serial=system.serial,
        )

    async def version(self) -> wire.Version | None:
        """Ask 4028 who it is; None: not stock. Raises SilentPeerError, MalformedReplyError."""
        return wire.read_version(await self._api(wire.VERSION))

    async def prepare(self) -> None:
        """Have a nonce, and the knowledge that this firmware's writes take JSON."""
        await self._read_conf()

    async def apply(self, point: OperatingPoint) -> None:
        """Write the work mode, or the percentage, and no other key: absent keys keep their values on the device.

        Raises RefusedError for a setting or a range this firmware does not have, MalformedReplyError where its
        configuration shows no work mode.
        """
        if not self._takes_json:
            await self._read_conf()
        keys = await self._keys(point.setting)
        self._conf_due_s = -1.0
        answer = await self._web.post(pages.WRITE, keys, answer_s=WRITE_ANSWER_S)
        pages.check_accepted(answer, self._at(pages.WRITE))

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most; no other key is written."""
        if not 1 <= len(pools) <= pages.MOST_POOLS:
            raise RefusedError(f"{self._web.where}: {len(pools)} pools, expected 1 to {pages.MOST_POOLS}")
        if not self._takes_json:
            await self._read_conf()
        answer = await self._web.post(pages.WRITE, pages.pool_keys(pools), answer_s=WRITE_ANSWER_S)
        pages.check_accepted(answer, self._at(pages.WRITE))

    async def locate(self, *, on: bool) -> None:
        """Switch the blinking of both lights."""
        answer = pages.page(await self._web.post(pages.BLINK, {"blink": on}), self._at(pages.BLINK))
        if answer.get("code") != pages.BLINK_CODES[on]:
            raise RefusedError(f"{self._at(pages.BLINK)}: {answer.get('code')!r}, expected {pages.BLINK_CODES[on]}")

    async def reboot(self) -> None:
        """Restart the control board; the page's text differs by firmware, HTTP 200 is its yes."""
        await self._web.get(pages.REBOOT)

    async def close(self) -> None:
        """Give the web session back; the next call opens it again."""
        await self._web.close()

    async def _live(self) -> Live | None:
        """None where the port is shut, as asleep; a machine that does not answer at all raises SilentPeerError."""
        try:
            if self._tells_watts:
                return pages.read_stats(await self._api(wire.STATS_PAGE), f"{self._host}:{self._api_port} stats")
            return wire.read_stats(await self._api(wire.STATS))
        except SilentPeerError as silence:
            # TimeoutError is an OSError but no ConnectionError: refused, reset and closed without a byte are.
            if isinstance(silence.__cause__, ConnectionError):
                return None
            raise

    async def _with_watts(self, live: Live) -> Live:
        """What the page would say where that has watts too, else the same; asked once an hour, on port 4028."""
        try:
            page = pages.read_stats(await self._api(wire.STATS_PAGE), f"{self._host}:{self._api_port} stats")
        except MalformedReplyError:
            page = None  # firmware that does not know the word may answer as it likes
        self._tells_watts = page is not None and page.hash_rate_hs > 0 and isfinite(page.power_w)
        return page if page is not None and self._tells_watts else live

    async def _reading_without_hash(self, live: Live | None) -> Reading:
        try:
            conf = await self._read_conf()
        except FarmError:
            if live is None:
                raise  # neither door said anything: a failed poll
            return _reading(live, MinerState.UNKNOWN, None)
        try:
            shown = pages.read_stats_page(await self._web.get(pages.STATS), self._at(pages.STATS))
        except FarmError:
            # 4028 saying zero is a reading; 4028 shut is not.
            shown = live or NO_PAGE
        if shown is not None and shown.hash_rate_hs > 0:
            self._idle_since_s = None
            return _reading(shown, _awake(conf.setting), conf.setting)
        quiet = shown or live or NO_PAGE
        if shown is not None and shown.hash_rate_hs != 0:  # NaN too
            return _reading(quiet, MinerState.UNKNOWN, conf.setting)
        return _reading(replace(quiet, hash_rate_hs=0.0), self._idle_state(conf), conf.setting)

    def _idle_state(self, conf: WorkConf) -> MinerState:
        if conf.mode == Mode.SLEEP:
            self._idle_since_s = None
            return MinerState.CURTAILED
        now_s = self._clock()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        return MinerState.BOOTING if now_s - self._idle_since_s < BOOT_S else MinerState.FAULT

    async def _setting(self) -> str | None:
        """The device's own setting, read again when due; None while it cannot be read."""
        now_s = self._clock()
        if now_s >= self._conf_due_s:
            self._conf_due_s = now_s + RETRY_S
            try:
                return (await self._read_conf()).setting
            except FarmError:
                self._conf = None
        return self._conf.setting if self._conf else None

    async def _read_conf(self) -> WorkConf:
        """Raises RefusedError, and asks no further, where the firmware's scripts take forms and not JSON."""
        if not self._takes_json:
            await self._must_take_json()
        self._conf = pages.read_conf(await self._web.get(pages.CONF), self._at(pages.CONF))
        self._conf_due_s = self._clock() + REREAD_S
        self._tells_watts = self._tells_watts or None  # other firmware may run by now
        return self._conf

    async def _must_take_json(self) -> None:
        """Asked until answered, and never guessed: a JSON body in a script that takes forms erases the pools."""
        system = pages.read_system(await self._web.get(pages.SYSTEM), self._at(pages.SYSTEM))
        if system.takes_json is None:
            # Firmware that tells neither; only what takes JSON has this page, and gives it in JSON.
            pages.read_stats_page(await self._web.get(pages.STATS), self._at(pages.STATS))
        elif not system.takes_json:
            said = "shows what firmware shows whose scripts take forms, expected one whose scripts take JSON"
            raise RefusedError(f"{self._at(pages.SYSTEM)}: {said}: watching it, not commanding it")
        self._takes_json = True

    async def _keys(self, setting: str) -> dict[str, int | str]:
        """What is written for a setting."""
        match setting.split(":"):
            case ["sleep"]:
                return {pages.MODE_KEY: Mode.SLEEP}
            case ["mode", "low"]:
                return {pages.MODE_KEY: Mode.LOW}
            case ["full"]:
                full: dict[str, int | str] = {pages.MODE_KEY: Mode.NORMAL}
                within = await self._percent_range()
                # A machine left at 70 % would wake to 70 %.
                return full | {pages.PERCENT_KEY: str(within.high)} if within else full
            case ["percent", said] if said.isdecimal():
                return await self._percent_keys(int(said))
            case _:
                known = "sleep, full, mode:low, percent:N"
                raise RefusedError(f"{self._web.where}: setting {setting!r}, stock firmware has {known}")

    async def _percent_keys(self, percent: int) -> dict[str, int | str]:
        within = await self._percent_range()
        if within is None:
            raise RefusedError(f"{self._web.where}: percent:{percent}, this firmware has no percent control")
        if not within.low <= percent <= within.high:
            raise RefusedError(f"{self._web.where}: percent:{percent}, expected {within.low}..{within.high}")
        keys: dict[str, int | str] = {pages.PERCENT_KEY: str(percent)}
        # Awake in normal mode the percentage stands alone; else the mode must change with it.
        conf = await self._read_conf()
        return keys if conf.mode == Mode.NORMAL else {pages.MODE_KEY: Mode.NORMAL} | keys

    async def _percent_range(self) -> PercentRange | None:
        """None where there is no percent control: the page or the key is missing."""
        if not self._percent_known:
            conf = self._conf or await self._read_conf()
            if conf.percent is not None:
                try:
                    body = await self._web.get(pages.PERCENT_RANGE)
                    self._percent = pages.read_percent_range(body, self._at(pages.PERCENT_RANGE))
                except NotServedError:
                    self._percent = None
            self._percent_known = True
        return self._percent

    async def _api(self, payload: bytes) -> dict[str, object]:
        return await cgminer.ask(self._host, self._api_port, payload)

    def _at(self, path: str) -> str:
        return f"{self._web.where} {path}"


def _awake(setting: str | None) -> MinerState:
    throttled = setting is not None and setting.startswith(("percent:", "mode:"))
    return MinerState.THROTTLED if throttled else MinerState.HASHING


def _reading(live: Live, state: MinerState, setting: str | None) -> Reading:
    return Reading(
        state=state,
        power_w=live.power_w,
        power_source=PowerSource.DEVICE if isfinite(live.power_w) else PowerSource.NAMEPLATE,
        hash_rate_hs=live.hash_rate_hs,
        temperature_c=live.temperature_c,
        uptime_s=live.uptime_s,
        setting=setting,
        fans_rpm=live.fans_rpm,
        board_temperatures_c=live.board_temperatures_c,
    )
