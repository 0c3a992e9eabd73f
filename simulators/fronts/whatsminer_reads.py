"""Whatsminer replies to reads: the keys and shapes of btminer's API, filled from a SimMiner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from simulators.fronts.cgminer import Row, status
from simulators.personality import Quirk

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import Reading, SimMiner

CGMINER = "cgminer 4.9.2"
"""What btminer calls itself in Description."""

MODE_NAMES = ("Normal", "Low", "High")


def summary(miner: SimMiner) -> bytes:
    """Reply to summary."""
    reading = miner.read()
    mhs = reading.hash_ths * 1e6
    mhs_1m, mhs_15m = reading.hash_1m_ths * 1e6, reading.hash_15m_ths * 1e6
    if reading.asleep:
        mhs = mhs_1m = mhs_15m = 0.0
    p = miner.personality
    watts = round(reading.power_w)
    fan = fan_rpm(reading)
    row = {
        "Accepted": 2338,
        "Best Share": 41127493,
        "CB Platform": "ALLWINNER_H616",
        "CB Version": "V10",
        "Chip Data": "K88Z347-2039   BINV04-192101D",
        "Chip Temp Avg": round(reading.chip_c, 2),
        "Chip Temp Max": round(reading.chip_c + 8, 2),
        "Chip Temp Min": round(reading.chip_c - 12, 2),
        "Device Hardware%": 0.011,
        "Device Rejected%": 0.0,
        "Difficulty Accepted": 158334976.0,
        "Difficulty Rejected": 0.0,
        "Difficulty Stale": 0.0,
        "Discarded": 613134,
        "Elapsed": 0 if reading.asleep else reading.uptime_s,
        "Env Temp": round(reading.ambient_c, 1),
        "Error Code Count": 0,
        "Factory Error Code Count": 0,
        "Factory GHS": round(p.full_ths * 1000),
        "Fan Speed In": fan,
        "Fan Speed Out": fan + 30 if fan else 0,
        "Firmware Version": f"'{p.firmware}'",
        "Found Blocks": 0,
        "Get Failures": 0,
        "Getworks": 950,
        "HS RT": round(mhs, 2),
        "Hardware Errors": 69,
        "Hash Deviation%": 0.1061,
        "Hash Stable": reading.warm,
        "Hash Stable Cost Seconds": round(p.up_s),
        "Last getwork": 0,
        "Liquid Cooling": False,
        "Local Work": 79651875,
        "MAC": miner.identity.mac,
        "MHS 15m": round(mhs_15m, 2),
        "MHS 1m": round(mhs_1m, 2),
        "MHS 5m": round(mhs_1m, 2),
        "MHS 5s": round(mhs, 2),
        "MHS av": round(mhs_15m, 2),
        "Network Blocks": 20,
        "Pool Rejected%": 0.0,
        "Pool Stale%": 0.0,
        "Power": watts,
        "Power Current": round(watts / 13.1),
        "Power Fanspeed": 9060,
        "Power Limit": miner.limit_w,
        "Power Mode": MODE_NAMES[miner.mode],
        "Power_RT": watts,
        "Rejected": 0,
        "Remote Failures": 0,
        "Security Mode": 0,
        "Stale": 0,
        "Target Freq": p.frequency_mhz,
        "Target MHS": round(p.full_ths * 1e6 * miner.percent / 100),
        "Temperature": round(reading.chip_c - 12, 1),
        "Total MH": 687977549397.0,
        "Uptime": reading.uptime_s,
        "Utility": 13.82,
        "Voltage": 1180,
        "Work Utility": 3697.27,
        "freq_avg": round(p.frequency_mhz * reading.hash_ths / p.full_ths),
    }
    return orjson.dumps({"STATUS": [status(11, "Summary", CGMINER)], "SUMMARY": [row], "id": 1})


def shares(miner: SimMiner) -> int:
    """Shares since the mining process started: about 14 a minute, whatever the difficulty."""
    return round(miner.read().uptime_s * 0.23)


def fan_rpm(reading: Reading) -> int:
    """Speed of the case fans: none asleep, faster when hot."""
    return 0 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))


def _devs(miner: SimMiner) -> bytes:
    reading = miner.read()
    rows = [_board(miner, reading, slot) for slot in range(miner.personality.boards)]
    head = status(9, f"{len(rows)} ASC(s)", CGMINER)
    return orjson.dumps({"DEVS": rows, "STATUS": [head], "id": 1})


def _board(miner: SimMiner, reading: Reading, slot: int) -> Row:
    p = miner.personality
    share = 0.0 if reading.asleep else 1e6 / p.boards
    now, fan = int(time.time()), fan_rpm(reading)
    return {
        "ASC": slot,
        "Accepted": 795,
        "Chip Frequency": round(p.frequency_mhz * reading.hash_ths / p.full_ths),
        "Chip Temp Avg": round(reading.chip_c, 2),
        "Chip Temp Max": round(reading.chip_c + 8, 2),
        "Chip Temp Min": round(reading.chip_c - 12, 2),
        "Device Elapsed": reading.uptime_s,
        "Device Hardware%": 0.0072,
        "Device Rejected%": 0.0,
        "Diff1 Work": 209185,
        "Difficulty Accepted": 53673984.0,
        "Difficulty Rejected": 0.0,
        "Effective Chips": p.chips_per_board,
        "Enabled": "Y",
        "Fan Speed In": fan,
        "Fan Speed Out": fan,
        "Hardware Errors": 15,
        "ID": slot,
        "Last Share Difficulty": 65536.0,
        "Last Share Pool": 0,
        "Last Share Time": now,
        "Last Valid Work": now,
        "MHS 15m": round(reading.hash_15m_ths * share, 2),
        "MHS 1m": round(reading.hash_1m_ths * share, 2),
        "MHS 5m": round(reading.hash_1m_ths * share, 2),
        "MHS 5s": round(reading.hash_ths * share, 2),
        "MHS av": round(reading.hash_15m_ths * share, 2),
        "Name": "SM",
        "PCB SN": f"{miner.identity.serial}B{slot}",
        "Rejected": 0,
        "Slot": slot,
        "Status": "Alive",
        "Temperature": round(reading.chip_c - 12, 1),
        "Total MH": 230000215080.0,
        "Upfreq Complete": int(reading.warm),
        "Utility": 4.7,
    }


def _pools(miner: SimMiner) -> bytes:
    rows = []
    for number, pool in enumerate(miner.settings.pools):
        first = number == 0
        rows.append(
            {
                "Accepted": shares(miner) if first else 0,
                "Bad Work": 0,
                "Best Share": 0,
                "Diff1 Shares": 0,
                "Difficulty Accepted": 0.0,
                "Difficulty Rejected": 0.0,
                "Difficulty Stale": 0.0,
                "Discarded": 0,
                "Get Failures": 0,
                "Getworks": 950 if first else 0,
                "Has GBT": False,
                "Has Stratum": True,
                "Last Share Difficulty": 65536.0,
                "Last Share Time": int(time.time()) if first else 0,
                "Long Poll": "N",
                "POOL": number + 1,
                "Pool Rejected%": 0.0,
                "Pool Stale%": 0.0,
                "Priority": number,
                "Proxy": "",
                "Proxy Type": "",
                "Quota": 1,
                "Rejected": 0,
                "Remote Failures": 0,
                "Stale": 0,
                "Status": "Alive",
                "Stratum Active": first,
                "Stratum Difficulty": 65536.0 if first else 0.0,
                "Stratum URL": pool.url.removeprefix("stratum+tcp://").partition(":")[0],
                "URL": pool.url,
                "User": pool.user,
                "Work Difficulty": 0.0,
                "Works": 0,
            }
        )
    head = status(7, f"{len(rows)} Pool(s)", CGMINER)
    return orjson.dumps({"POOLS": rows, "STATUS": [head], "id": 1})


def _devdetails(miner: SimMiner) -> bytes:
    p = miner.personality
    rows = [
        {"DEVDETAILS": n, "Name": "SM", "ID": n, "Driver": "bitmicro", "Kernel": "", "Model": p.model}
        for n in range(p.boards)
    ]
    head = status(69, "Device Details", CGMINER)
    return orjson.dumps({"STATUS": [head], "DEVDETAILS": rows, "id": 1})


def _flat(miner: SimMiner, msg: Row) -> bytes:
    old = Quirk.OLD_STATUS in miner.quirks
    description = miner.personality.api_version if old else ""
    return orjson.dumps({"Code": 131, "Description": description, "Msg": msg, "STATUS": "S", "When": int(time.time())})


def _status(miner: SimMiner) -> bytes:
    off = "true" if miner.read().asleep else "false"
    if Quirk.OLD_STATUS in miner.quirks:
        firmware = f"'{miner.personality.firmware}'"
        return _flat(miner, {"Firmware Version": firmware, "btmineroff": off})
    msg = {
        "FirmwareVersion": miner.personality.firmware,
        "hash_percent": str(miner.percent),
        "mineroff": off,
        "mineroff_reason": "api" if off == "true" else "",
        "mineroff_time": "",
        "power_limit_set": str(miner.limit_w),
        "power_mode": MODE_NAMES[miner.mode].lower(),
    }
    return _flat(miner, msg)


def _get_version(miner: SimMiner) -> bytes:
    p = miner.personality
    return _flat(miner, {"api_ver": p.api_version, "fw_ver": p.firmware, "platform": "H616"})


def _get_psu(miner: SimMiner) -> bytes:
    msg = {
        "fan_speed": "6000",
        "hw_version": "",
        "model": "P222B",
        "name": "P222B",
        "sw_version": "230208.220429",
    }
    return _flat(miner, msg)


def _get_miner_info(miner: SimMiner) -> bytes:
    who = miner.identity
    return _flat(miner, {"hostname": who.hostname, "ledstat": miner.led, "mac": who.mac})


def _get_error_code(miner: SimMiner) -> bytes:
    return _flat(miner, {"error_code": []})


RELAYED = frozenset({"summary", "devs", "edevs", "pools", "devdetails"})
"""Reads that go through to the mining process."""

READS: dict[str, Callable[[SimMiner], bytes]] = {
    "summary": summary,
    "devs": _devs,
    "edevs": _devs,
    "pools": _pools,
    "devdetails": _devdetails,
    "status": _status,
    "get_version": _get_version,
    "get_psu": _get_psu,
    "get_miner_info": _get_miner_info,
    "get_error_code": _get_error_code,
}
