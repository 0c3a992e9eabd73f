"""Bitaxe: AxeOS on the web port, no password, no sleep; every PATCH is stored as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from simulators.faults import Fault
from simulators.fronts.http import HttpReply, HttpRequest
from simulators.miner import Pool

if TYPE_CHECKING:
    from simulators.fronts.cgminer import Row
    from simulators.miner import SimMiner

PAGE = b"<html><title>AxeOS</title></html>"
CLOCKS = (400, 490, 525, 550, 600, 625)
"""MHz of BM1370 in AxeOS 2.9."""
SMALL_CORES = 2040
VOLTAGE_MV = 1150
CLOCK_RANGE = range(50, 1001)


class BitaxeWeb:
    """Answers the web server."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner
        miner.mode = miner.personality.frequency_mhz

    def answer(self, request: HttpRequest) -> HttpReply:
        """Serve the page, a read, or a command."""
        match request.method, request.path.rstrip("/"):
            case "GET", "":
                return HttpReply(200, PAGE, "text/html")
            case "GET", "/api/system/info":
                self._miner.reads["info"] += 1
                return HttpReply(200, orjson.dumps(_info(self._miner)))
            case "GET", "/api/system/asic":
                self._miner.reads["asic"] += 1
                return HttpReply(200, orjson.dumps(_asic(self._miner)))
            case "PATCH", "/api/system":
                return self._change(request.body)
            case "POST", "/api/system/restart":
                self._miner.note("http", "restart", "")
                if Fault.REFUSES not in self._miner.faults and not self._miner.is_deaf:
                    self._miner.reboot()
                return HttpReply(200, b"System will restart shortly.", "text/plain")
            case _:
                return HttpReply(404, b"Nothing matches the given URI", "text/html")

    def _change(self, text: bytes) -> HttpReply:
        miner = self._miner
        miner.note("http", "system", text.decode("utf-8", "replace"))
        body = _object(text)
        if body is None or Fault.REFUSES in miner.faults:
            return HttpReply(400, b"Wrong API input", "text/html")
        clock = body.get("frequency")
        if clock is not None and (not isinstance(clock, (int, float)) or int(clock) not in CLOCK_RANGE):
            return HttpReply(400, b"Wrong API input", "text/html")
        if not miner.is_deaf:
            self._keep(body)
            if clock is not None:
                self._clock(int(clock))
        return HttpReply(200, b"")

    def _clock(self, mhz: int) -> None:
        miner = self._miner
        share = mhz / miner.personality.frequency_mhz
        miner.mode = mhz
        miner.set_level(miner.personality.full_w * share, miner.personality.full_ths * share)

    def _keep(self, body: dict[str, Any]) -> None:
        kept = self._miner.settings
        pool = kept.pools[0]
        if "stratumURL" in body or "stratumUser" in body or "stratumPassword" in body:
            kept.pools[0] = Pool(
                url=str(body.get("stratumURL", pool.url)),
                user=str(body.get("stratumUser", pool.user)),
                password=str(body.get("stratumPassword", pool.password)),
            )
        for key in ("autofanspeed", "fanspeed", "temptarget", "invertfanpolarity", "wifiPass"):
            if key in body:
                kept.extra[key] = str(body[key])


def _info(miner: SimMiner) -> Row:
    p, reading = miner.personality, miner.read()
    row: Row = {
        "ASICModel": p.model,
        "asicCount": p.boards * p.chips_per_board,
        "autofanspeed": 1,
        "bestDiff": "483k",
        "boardVersion": "601",
        "coreVoltage": VOLTAGE_MV,
        "coreVoltageActual": VOLTAGE_MV - 6,
        "current": round(reading.power_w / 5.1 * 1e3, 2),
        "fanrpm": round(2000 + 40 * max(0.0, reading.chip_c - 25)),
        "fanspeed": 35,
        "frequency": miner.mode,
        "hashRate": round(reading.hash_ths * 1e3, 3),
        "hostname": miner.identity.hostname,
        "macAddr": miner.identity.mac,
        "overheat_mode": 0,
        "power": round(reading.power_w, 3),
        "sharesAccepted": 17,
        "sharesRejected": 0,
        "smallCoreCount": SMALL_CORES,
        "temp": round(reading.chip_c, 3),
        "uptimeSeconds": reading.uptime_s,
        "version": p.firmware,
        "voltage": 5100.0,
        "vrTemp": round(reading.chip_c + 8, 1),
        "wifiStatus": "Connected!",
    }
    for prefix, pool in zip(("stratum", "fallbackStratum"), miner.settings.pools, strict=False):
        host, _, port = pool.url.removeprefix("stratum+tcp://").partition(":")
        row |= {f"{prefix}URL": host, f"{prefix}Port": int(port or 3333), f"{prefix}User": pool.user}
    return row


def _asic(miner: SimMiner) -> Row:
    p = miner.personality
    return {
        "ASICModel": p.model,
        "deviceModel": "Gamma",
        "asicCount": p.boards * p.chips_per_board,
        "defaultFrequency": p.frequency_mhz,
        "frequencyOptions": list(CLOCKS),
        "defaultVoltage": VOLTAGE_MV,
        "voltageOptions": [1000, 1060, 1100, 1150, 1200, 1250],
    }


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
