"""Whatsminer API v3 replies to reads, and what is left of API v2 on port 4028, filled from a SimMiner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.fronts.cgminer import INVALID_COMMAND, Request, Row, failure
from simulators.fronts.whatsminer_reads import MODE_NAMES, READS, fan_rpm

if TYPE_CHECKING:
    from simulators.miner import Reading, SimMiner

STATUS_VIEWS = frozenset({"summary", "pools", "edevs"})
FULL_PERCENT = 100
V2_READS = frozenset({"summary", "devs", "edevs", "pools", "devdetails", "get_version", "status"})
"""Reads of API 2 that firmware of API 3 normally still serves on port 4028; no tokens, no writes."""


class WhatsminerV3Reads:
    """Answers port 4028 of a Whatsminer whose writes have moved to port 4433."""

    def __init__(self, miner: SimMiner) -> None:
        self._miner = miner

    def answer(self, request: Request) -> bytes:
        """Answer a read of API 2."""
        if request.command not in V2_READS:
            return failure(INVALID_COMMAND, "invalid cmd", "")
        self._miner.reads[request.command] += 1
        return READS[request.command](self._miner)


def device_info(miner: SimMiner, salt: str, section: object) -> Row:
    """get.device.info: one section, or all of them."""
    reading, p, who = miner.read(), miner.personality, miner.identity
    full: Row = {
        "miner": {
            "board-num": str(p.boards),
            **{f"chipdata{slot}": "K8EC374-2426 BINVE6-197806A" for slot in range(p.boards)},
            "detect-hash-rate": ":".join(str(round(p.full_ths * 1000 / p.boards)) for _ in range(p.boards)),
            "fast-boot": "enable" if miner.fast_boot else "disable",
            "hash-board": p.model.partition("_V")[2],
            "hash-percent": str(miner.percent) if miner.percent < FULL_PERCENT else "0",
            "miner-sn": who.serial,
            **{f"pcbsn{slot}": f"{who.serial}B{slot}" for slot in range(p.boards)},
            "pool-strategy": "FAILOVER",
            "power-limit-set": str(miner.limit_w),
            "type": p.model,
            "working": "false" if reading.asleep else "true",
        },
        "network": {
            "dns": "127.0.0.1",
            "gateway": "127.0.0.1",
            "hostname": who.hostname,
            "ip": miner.endpoint.host,
            "mac": who.mac,
            "netmask": "255.0.0.0",
            "proto": "dhcp",
        },
        "power": {
            "fanspeed": 0 if reading.asleep else 6344,
            "hwversion": "RT0159",
            "mode": "1",
            "model": "P221B",
            "pin": round(reading.power_w),
            "sn": f"P{who.serial}",
            "swversion": "230224.220429",
            "type": "P221B",
            "vendor": "1",
        },
        "salt": salt,
        "system": {
            "api": p.api_version,
            "apiswitch": "1",
            "control-board-version": "CB6V10",
            "fwversion": p.firmware,
            "ledstatus": miner.led,
            "platform": "H616",
        },
        "error-code": [],
    }
    return {section: full[section]} if isinstance(section, str) and section in full else full


def status(miner: SimMiner, views: object) -> Row | None:
    """get.miner.status with the views that were asked for; None where the firmware fails it.

    Idle firmware refuses the view of pools alone and leaves pools out of a joined one (miningos worker).
    """
    asked = [view for view in str(views or "").split("+") if view]
    reading = miner.read()
    if not asked or not set(asked) <= STATUS_VIEWS or (reading.asleep and asked == ["pools"]):
        return None
    found: Row = {}
    for view in asked:
        match view:
            case "summary":
                found["summary"] = _summary(miner, reading)
            case "edevs":
                found["edevs"] = [_board(miner, reading, slot) for slot in range(miner.personality.boards)]
            case _:
                if not reading.asleep:
                    found["pools"] = _pools(miner)
    return found


def setting(miner: SimMiner) -> Row:
    """get.miner.setting."""
    return {"power-mode": MODE_NAMES[miner.mode].lower(), "upfreq-speed": 0}


def fan_setting(miner: SimMiner) -> Row:
    """get.fan.setting."""
    extra = miner.settings.extra
    return {"fan-poweroff-cool": 1, "fan-zero-speed": extra.get("fan_zero_speed", "0"), "fan-temp-offset": 0}


def _summary(miner: SimMiner, reading: Reading) -> Row:
    p = miner.personality
    ths = 0.0 if reading.asleep else reading.hash_ths
    minute_ths, quarter_ths = (0.0, 0.0) if reading.asleep else (reading.hash_1m_ths, reading.hash_15m_ths)
    fan = fan_rpm(reading)
    board_c = round(reading.chip_c - 12, 1)
    return {
        "Debug": "",
        "board-temperature": [board_c] * p.boards,
        "bootup-time": reading.uptime_s,
        "chip-temp-avg": round(reading.chip_c, 1),
        "chip-temp-max": round(reading.chip_c + 8, 1),
        "chip-temp-min": round(reading.chip_c - 12, 1),
        "elapsed": 0 if reading.asleep else reading.uptime_s,
        "environment-temperature": round(reading.ambient_c, 1),
        "factory-hash": p.full_ths,
        "fan-speed-in": fan,
        "fan-speed-out": fan,
        "freq-avg": round(p.frequency_mhz * ths / p.full_ths),
        "hash-15min": round(quarter_ths, 3),
        "hash-1min": round(minute_ths, 3),
        "hash-average": round(quarter_ths, 3),
        "hash-realtime": round(ths, 3),
        "power-5min": round(reading.power_w, 1),
        "power-limit": miner.limit_w,
        "power-rate": round(reading.power_w / ths, 2) if ths > 1 else 0,
        "power-realtime": round(reading.power_w, 1),
        "up-freq-finish": int(reading.warm),
    }


def _board(miner: SimMiner, reading: Reading, slot: int) -> Row:
    p = miner.personality
    share = 0.0 if reading.asleep else 1.0 / p.boards
    return {
        "chip-temp-avg": round(reading.chip_c, 1),
        "chip-temp-max": round(reading.chip_c + 8, 1),
        "chip-temp-min": round(reading.chip_c - 12, 1),
        "effective-chips": p.chips_per_board,
        "factory-hash": round(p.full_ths / p.boards, 2),
        "freq": p.frequency_mhz,
        "hash-average": round(reading.hash_15m_ths * share, 3),
        "hash-realtime": round(reading.hash_ths * share, 3),
        "id": slot,
        "slot": slot,
        "status": "alive",
    }


def _pools(miner: SimMiner) -> list[Row]:
    return [
        {
            "account": pool.user,
            "id": number + 1,
            "pool-priority": number,
            "status": "alive",
            "stratum-active": number == 0,
            "url": pool.url,
        }
        for number, pool in enumerate(miner.settings.pools)
    ]
