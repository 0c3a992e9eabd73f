"""ePIC PowerPlay: one page a poll, the vendor's presets as ladder, the password in the body of every write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, nan

from typing_extensions import override

from drivers._wire.cgminer import API_PORT
from drivers._wire.digest import SharedWeb
from drivers._wire.rest import Request, RestClient
from drivers.epic import wire
from drivers.epic.belief import Belief
from drivers.epic.wire import Capabilities, Summary, Tune
from farmctl.core.model import Ladder, MinerId, OperatingPoint, PowerSource
from farmctl.errors import CredentialError, FarmError, MalformedReplyError, RefusedError
from farmctl.ports.devices import Credentials, Device, Driver, Endpoint, Facts, Identity, PoolLogin, Reading

FACTORY_PASSWORD = "letmein"  # noqa: S105 - what PowerPlay ships with
BAD_PASSWORD = "BadPassword"  # noqa: S105 - PowerPlay's name for the refusal
HIGHEST_W = 99_999
MOST_POOLS = 3
ENABLED, DISABLED = True, False


class EpicDriver(Driver):
    """Makes devices of miners that run PowerPlay; they share one web session."""

    name = "epic"
    factory = Credentials(password=FACTORY_PASSWORD)
    doors = frozenset({"api:http"})

    def __init__(self) -> None:
        self._web = SharedWeb()

    @override
    async def identify(self, endpoint: Endpoint, credentials: Credentials) -> Identity | None:
        rest = self._rest(endpoint)
        try:
            return await _identify(rest)
        except (MalformedReplyError, RefusedError, CredentialError):
            return None  # cgminer on the same port answers, but not in HTTP; another web server, but not these pages
        finally:
            await rest.close()

    @override
    def device(self, endpoint: Endpoint, credentials: Credentials) -> Device:
        return EpicDevice(self._rest(endpoint), credentials.password or FACTORY_PASSWORD)

    def _rest(self, endpoint: Endpoint) -> RestClient:
        return RestClient(self._web, host=endpoint.host, port=endpoint.port("api", API_PORT))


class EpicDevice(Device):
    """One miner on PowerPlay; polls need no password, writes do."""

    serial_only = False

    def __init__(self, rest: RestClient, password: str) -> None:
        self._rest = rest
        self._password = password
        self._belief = Belief()
        self._capabilities: Capabilities | None = None

    @override
    async def poll(self) -> Reading:
        summary = await self._summary()
        belief = self._belief
        state = belief.learn(summary, asyncio.get_running_loop().time())
        return Reading(
            state=state,
            power_w=summary.power_w,
            power_source=PowerSource.DEVICE,
            # Without boards in the reply an idle miner hashes nothing; another one is unknown.
            hash_rate_hs=0.0 if belief.is_idle and not summary.boards_c else summary.hash_rate_hs,
            temperature_c=summary.board_temperature_c,
            uptime_s=summary.uptime_s,
            setting=belief.setting,
            power_limit_w=belief.power_target_w,
            fans_rpm=summary.fans_rpm,
            board_temperatures_c=summary.boards_c,
            errors=summary.errors,
        )

    @override
    async def facts(self) -> Facts:
        identity = await _identify(self._rest)
        if identity is None:
            raise MalformedReplyError(f"{self._rest.where} no longer answers as PowerPlay")
        found = await self._read_capabilities()
        reply = await self._rest.ask(wire.SUMMARY)
        ladder = wire.make_ladder(found, found.model, self._full_ths(found))
        return Facts(
            identity=identity,
            pools=wire.parse_pools(reply),
            boards=found.boards,
            nominal_hash_rate_hs=found.default_ths * wire.HASHES_PER_TERAHASH,
            nominal_power_w=nan if ladder is None else ladder.points[-1].power_w,
            limit_c=wire.parse_limit_c(reply),
        )

    @override
    async def close(self) -> None:
        await self._rest.close()

    async def ladder(self) -> Ladder | None:
        """Read the vendor's presets up to the operator's own target."""
        if self._belief.original is None:
            await self.poll()
        found = await self._read_capabilities()
        return wire.make_ladder(found, found.model, self._full_ths(found))

    async def apply(self, point: OperatingPoint) -> None:
        """Command `sleep`, `full`, `profile:NTH` or, where it tunes to watts, `watts:N`; RefusedError for others."""
        kind, _, value = point.setting.partition(":")
        if point.setting == "sleep":
            await self._operate("Stop")
        elif point.setting == "full":
            await self._wake()
            await self._give_back()
        elif kind == "profile" and value.endswith("TH"):
            await self._aim(await self._hash_tune(_whole(point, value.removesuffix("TH"))))
        elif kind == "watts":
            await self._aim(await self._power_tune(_whole(point, value)))
        else:
            raise RefusedError(
                f"{self._rest.where}: PowerPlay has no setting {point.setting!r}, "
                "expected sleep, full, profile:NTH or watts:N"
            )

    async def set_pools(self, pools: Sequence[PoolLogin]) -> None:
        """Make these its pools, three at most."""
        if not 1 <= len(pools) <= MOST_POOLS:
            raise RefusedError(f"{self._rest.where}: {len(pools)} pools, expected 1 to {MOST_POOLS}")
        rows = [{"pool": pool.url, "login": pool.user, "password": pool.password} for pool in pools]
        await self._write("/coin", {"coin": "Btc", "stratum_configs": rows, "unique_id": False})

    async def locate(self, *, on: bool) -> None:
        """Blink the light, or stop it."""
        await self._write("/identify", on)

    async def reboot(self) -> None:
        """Restart the control board."""
        await self._write("/reboot", 0, once=True)

    async def _operate(self, state: str) -> None:
        await self._write("/miner", state)
        self._belief.told(state.lower(), asyncio.get_running_loop().time())

    async def _wake(self) -> None:
        """Start it where it idles, will idle, or where that cannot be read."""
        belief, loop = self._belief, asyncio.get_running_loop()
        if belief.is_idle is None:
            try:
                belief.learn(await self._summary(), loop.time())
            except FarmError:
                belief.is_idle = None
        if belief.is_idle is not False:
            await self._operate("Autostart")

    async def _aim(self, tune: Tune) -> None:
        await self._wake()
        if self._belief.tune_in_force() == tune.setting:
            return
        await self._tune(tune)
        self._belief.expect_tune(tune)

    async def _give_back(self) -> None:
        """The operator's own target, where we set another."""
        belief = self._belief
        if belief.commanded is not None and belief.original is not None:
            await self._tune(belief.original)
            if belief.was_tuning is False:
                await self._write("/perpetualtune", DISABLED)
                belief.is_tuning = False
            belief.expect_tune(None)

    async def _tune(self, tune: Tune) -> None:
        param: dict[str, object] = {"algo": tune.algorithm, "target": tune.target}
        if tune.min_throttle is not None:
            param["min_throttle"] = tune.min_throttle
        if tune.throttle_step is not None:
            param["throttle_step"] = tune.throttle_step
        if self._belief.is_tuning is False:
            await self._write("/perpetualtune", ENABLED)
            self._belief.is_tuning = True
        await self._write("/perpetualtune/algo", param)

    async def _hash_tune(self, ths: int) -> Tune:
        """A target in TH/s with the operator's own algorithm and limits where it has one in TH/s."""
        found = await self._known_capabilities()
        own = self._belief.original
        if own is None or own.algorithm == wire.POWER_TUNE:
            own = Tune(algorithm=wire.DEFAULT_TUNE, target=ths)
        return self._checked(found, replace(own, target=ths))

    async def _power_tune(self, watts: int) -> Tune:
        found = await self._known_capabilities()
        if found is not None and wire.POWER_TUNE not in found.ranges:
            known = ", ".join(found.ranges)
            raise RefusedError(f"{self._rest.where}: tunes by {known or 'nothing'}, expected {wire.POWER_TUNE}")
        return self._checked(found, Tune(algorithm=wire.POWER_TUNE, target=watts))

    def _checked(self, found: Capabilities | None, tune: Tune) -> Tune:
        low, high = (nan, nan) if found is None else found.ranges.get(tune.algorithm, (nan, nan))
        if tune.target < low or tune.target > high:
            raise RefusedError(
                f"{self._rest.where}: {tune.algorithm} to {tune.target}, expected {low:.0f} to {high:.0f}"
            )
        return tune

    async def _write(self, path: str, param: object, *, once: bool = False) -> None:
        body = {"param": param, "password": self._password}
        reply = await self._rest.ask(Request(method="POST", path=path, payload=body, once=once))
        if wire.said_yes(reply):
            return
        why = wire.refusal(reply)
        if BAD_PASSWORD in why:
            raise CredentialError(f"{self._rest.where} refuses {path}: {why}")
        raise RefusedError(f"{self._rest.where} refuses {path} {param!r}: {why}")

    async def _summary(self) -> Summary:
        summary = wire.parse_summary(await self._rest.ask(wire.SUMMARY))
        if summary is None:
            raise MalformedReplyError(f"{self._rest.where} answered /summary without a Status")
        return summary

    async def _read_capabilities(self) -> Capabilities:
        found = wire.parse_capabilities(await self._rest.ask(wire.CAPABILITIES))
        if found is None:
            raise MalformedReplyError(f"{self._rest.where} answered /capabilities without a Model")
        self._capabilities = found
        return found

    async def _known_capabilities(self) -> Capabilities | None:
        """What it can do, read once; None where it cannot be read now: the device itself refuses what it cannot."""
        if self._capabilities is None:
            try:
                return await self._read_capabilities()
            except FarmError:
                return None
        return self._capabilities

    def _full_ths(self, found: Capabilities) -> float:
        own = self._belief.original
        if own is not None and own.algorithm != wire.POWER_TUNE:
            return float(own.target)
        return found.default_ths if isfinite(found.default_ths) else max((ths for _, ths in found.presets), default=0.0)


def _whole(point: OperatingPoint, value: str) -> int:
    if value.isascii() and value.isdecimal() and 1 <= int(value) <= HIGHEST_W:
        return int(value)
    raise RefusedError(f"setting {point.setting!r}: expected a whole number from 1 to {HIGHEST_W}")


async def _identify(rest: RestClient) -> Identity | None:
    found = wire.parse_capabilities(await rest.ask(wire.CAPABILITIES))
    if found is None:
        return None
    card = wire.parse_mac(await rest.ask(wire.NETWORK))
    who = card or found.serial
    if not who:
        raise MalformedReplyError(f"{rest.where} runs PowerPlay and says neither MAC nor serial")
    software = await rest.ask(wire.SUMMARY)
    return Identity(
        miner_id=MinerId(who),
        driver=EpicDriver.name,
        model=found.model,
        firmware=wire.parse_software(software),
        mac=card,
        serial=found.serial,
    )
