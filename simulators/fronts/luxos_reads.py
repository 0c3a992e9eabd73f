"""LuxOS replies to reads: keys and shapes of LuxOS 2025.4.8, filled from a SimMiner.

Code numbers are the firmware's where a recording shows them (11, 22, 33, 70, 7, 9, 201, 202, 311,
323, 357); those of atm, limits and tempctrl are not on record and only fill the field.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from simulators.fronts.cgminer import Row, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import Reading, SimMiner

MAX_CHAINS = 4
IDLE_FAN_PERCENT = 20


def describe(miner: SimMiner) -> str:
    """Name of the mining process, as it stands in Description."""
    return f"LUXminer {miner.personality.firmware}-57b389c7"


def encode(miner: SimMiner, code: int, msg: str, **sections: list[Row]) -> bytes:
    """Encode a successful reply."""
    head = status(code, msg, describe(miner))
    return orjson.dumps({"STATUS": [head], **sections, "id": 1})


def is_supplied(reading: Reading) -> bool:
    """Whether the power supply feeds the hash boards."""
    return not reading.asleep


def _version(miner: SimMiner) -> bytes:
    p = miner.personality
    row = {
        "API": p.api_version,
        "CompileTime": "Tue Apr  8 22:05:35 UTC 2025",
        "LUXminer": f"{p.firmware}-57b389c7",
        "Miner": p.firmware,
        "Type": p.model,
    }
    return encode(miner, 22, "LUXminer versions", VERSION=[row])


def _config(miner: SimMiner) -> bytes:
    p, who, reading = miner.personality, miner.identity, miner.read()
    profile = miner.profile
    row = {
        "ASC Count": p.boards,
        "BcastAddr": "127.255.255.255",
        "ControlBoardType": "cvitek",
        "Cooling": "Air",
        "CurtailMode": "Sleep" if reading.asleep else "None",
        "DHCP": True,
        "DNS Servers": "",
        "Device Code": "",
        "FPGABuildIdHex": "0x18351835",
        "FPGABuildIdStr": "2018-35-18 35:00",
        "FeeStatus": "Ok",
        "Gateway": "127.0.0.1",
        "GreenLed": "auto",
        "Hostname": who.hostname,
        "Hotplug": "None",
        "IPAddr": miner.endpoint.host,
        "ImmersionMode": False,
        "IsAtmEnabled": miner.is_atm,
        "IsPowerSupplyOn": is_supplied(reading),
        "IsSingleVoltage": True,
        "IsTuning": not reading.warm and not reading.asleep,
        "Log Interval": 0,
        "LogFileLevel": "info",
        "MACAddr": who.mac.lower(),
        "Model": p.model,
        "NameplateTHS": p.full_ths,
        "Netmask": "255.0.0.0",
        "OS": "LuxOS",
        "PGA Count": 0,
        "PSUHwVersion": "75",
        "PSULabel": "APW121215e",
        "Pool Count": len(miner.settings.pools),
        "Profile": profile.name if profile else "",
        "ProfileStep": str(profile.step) if profile else "",
        "RedLed": miner.led,
        "SerialNumber": who.serial,
        "Strategy": "Failover",
        "SystemStatus": "Normal",
        "UpdateOnStartup": "off",
        "UpdateOnTimeout": "off",
        "UpdateOnUser": "full",
        "UpdateSource": "",
        "UpdateTimeout": 60,
    }
    return encode(miner, 33, "LUXminer config", CONFIG=[row])


def _summary(miner: SimMiner) -> bytes:
    reading = miner.read()
    ghs, ghs_1m = round(reading.hash_ths * 1e3, 2), round(reading.hash_1m_ths * 1e3, 2)
    ghs_15m = round(reading.hash_15m_ths * 1e3, 2)
    row = {
        "Accepted": 1483,
        "Best Share": 32768,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Difficulty Accepted": 42323968,
        "Difficulty Rejected": 32768,
        "Difficulty Stale": 0,
        "Discarded": 0,
        "Elapsed": reading.uptime_s,
        "Found Blocks": 0,
        "GHS 15m": ghs_15m,
        "GHS 1m": ghs_1m,
        "GHS 24h": ghs_15m,
        "GHS 30m": ghs_15m,
        "GHS 5m": ghs_1m,
        "GHS 5s": ghs,
        "GHS av": ghs_15m,
        "Get Failures": 0,
        "Getworks": 656,
        "Hardware Errors": 0,
        "Last getwork": int(time.time()),
        "Local Work": 0,
        "Network Blocks": 0,
        "Pool Rejected%": 0.0773,
        "Pool Stale%": 0.0,
        "Rejected": 1,
        "Remote Failures": 0,
        "Stale": 0,
        "Total MH": ghs_15m * 1e3,
        "Utility": 26.03,
        "Work Utility": 11.5,
    }
    return encode(miner, 11, "Summary", SUMMARY=[row])


def _stats(miner: SimMiner) -> bytes:
    p, reading = miner.personality, miner.read()
    profile = miner.profile
    mhz = float(profile.frequency_mhz) if profile and not reading.asleep else 0.0
    temp = round(reading.chip_c)
    corner = f"{temp}-{temp - 13}-{temp - 13}-{temp}"
    rpm = fan_rpm(reading)
    chain: Row = {}
    for n in range(1, MAX_CHAINS + 1):
        fitted = n <= p.boards
        chain[f"chain_acn{n}"] = p.chips_per_board if fitted else 0
        chain[f"chain_acs{n}"] = " " + "o" * p.chips_per_board if fitted else ""
        chain[f"chain_hw{n}"] = 0
        share_ghs = reading.hash_ths * 1e3 / p.boards
        chain[f"chain_rate{n}"] = f"{share_ghs:.2f}" if fitted else "0"
        chain[f"freq{n}"] = mhz if fitted else 0.0
        for kind in ("chip", "pcb", "pic"):
            chain[f"temp_{kind}{n}"] = corner if fitted else "0-0-0-0"
    ideal_ths = profile.hash_rate_ths if profile else p.full_ths
    row = {
        "Calls": 0,
        "Elapsed": reading.uptime_s,
        "GHS 5s": round(reading.hash_ths * 1e3, 2),
        "GHS av": round(reading.hash_15m_ths * 1e3, 2),
        "ID": "BTM_SOC0",
        "Max": 0,
        "Min": 99999999,
        "Mode": 2,
        "STATS": 0,
        "Wait": 0,
        **chain,
        **{f"fan{n}": rpm for n in range(1, p.fans + 1)},
        "fan_num": p.fans,
        "frequency": round(mhz),
        "miner_count": p.boards,
        "miner_id": miner.identity.mac.replace(":", "").lower(),
        "miner_version": p.firmware,
        "no_matching_work": 0,
        "rate_30m": round(reading.hash_15m_ths * 1e3, 2),
        "rate_unit": "GH",
        "temp_max": float(temp),
        "temp_num": p.boards,
        "total rate": round(reading.hash_ths * 1e3, 2),
        "total_acn": p.boards * p.chips_per_board,
        "total_freqavg": mhz,
        "total_rateideal": round(ideal_ths * 1e3, 1),
    }
    head = {"CompileTime": "Tue Apr  8 22:05:35 UTC 2025", "Miner": p.firmware, "Type": p.model}
    return encode(miner, 70, "LUXminer stats", STATS=[head, row])


def fan_rpm(reading: Reading) -> int:
    """Fans idle slowly asleep: 20 % is 1,920 rpm on an S19k Pro."""
    return 1920 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))


def _devs(miner: SimMiner) -> bytes:
    p, reading = miner.personality, miner.read()
    now = int(time.time())
    mhs = reading.hash_ths * 1e6 / p.boards
    mhs_1m, mhs_15m = reading.hash_1m_ths * 1e6 / p.boards, reading.hash_15m_ths * 1e6 / p.boards
    rows = [
        {
            "ASC": n,
            "Accepted": 499,
            "Board": "BHB56903",
            "Connector": f"J{6 + n}",
            "Device Elapsed": reading.uptime_s,
            "Device Hardware%": 0,
            "Device Rejected%": 0,
            "Diff1 Work": 14290944,
            "Difficulty Accepted": 14290944,
            "Difficulty Rejected": 0,
            "Enabled": "Y",
            "Hardware Errors": 0,
            "ID": n,
            "IsRamping": not reading.warm and not reading.asleep,
            "IsUserShutdown": reading.asleep,
            "Last Share Difficulty": 32768,
            "Last Share Pool": 0,
            "Last Share Time": now,
            "Last Valid Work": now,
            "MHS 15m": mhs_15m,
            "MHS 1m": mhs_1m,
            "MHS 30m": mhs_15m,
            "MHS 5m": mhs_1m,
            "MHS 5s": mhs,
            "MHS av": mhs_15m,
            "Name": "",
            "Nominal MHS": p.full_ths * 1e6 / p.boards,
            "Profile": miner.profile.name if miner.profile else "",
            "Rejected": 0,
            "SerialNumber": f"{miner.identity.serial}B{n}",
            "Status": "Alive",
            "Temperature": round(reading.chip_c, 1),
            "Total MH": mhs_15m,
            "Utility": 0,
        }
        for n in range(p.boards)
    ]
    return encode(miner, 9, f"{p.boards} ASC(s)", DEVS=rows)


def _pools(miner: SimMiner) -> bytes:
    rows = [
        {
            "Accepted": round(miner.read().uptime_s * 0.23) if n == 0 else 0,
            "AsicBoost": True,
            "Diff": "32K",
            "GROUP": 0,
            "Get Failures": 0,
            "Has GBT": False,
            "Has Stratum": True,
            "Last Share Time": "00:00:01",
            "Long Pool": "N",
            "POOL": n,
            "Priority": n,
            "Proxy": "",
            "Proxy Type": "",
            "Quota": 1.0,
            "Rejected": 0,
            "Remote Failures": 0,
            "Stale": 0,
            "Status": "Alive",
            "Stratum Active": n == 0,
            "Stratum URL": pool.url.removeprefix("stratum+tcp://"),
            "URL": pool.url,
            "User": pool.user,
        }
        for n, pool in enumerate(miner.settings.pools)
    ]
    return encode(miner, 7, f"{len(rows)} Pool(s)", POOLS=rows)


def _power(miner: SimMiner) -> bytes:
    watts = round(miner.read().power_w)
    return encode(miner, 311, "Power usage", POWER=[{"PSU": False, "Watts": watts}])


def _profiles(miner: SimMiner) -> bytes:
    active = miner.profile
    rows = [
        {
            "CanRestore": True,
            "Frequency": p.frequency_mhz,
            "HasOverrides": False,
            "Hashrate": p.hash_rate_ths,
            "IsDynamic": True,
            "IsTuned": p is active,
            "Profile Name": p.name,
            "Step": str(p.step),
            "Voltage": p.voltage_v,
            "Watts": p.watts,
        }
        for p in miner.personality.ladder
    ]
    return encode(miner, 323, "List profiles", PROFILES=rows)


def _fans(miner: SimMiner) -> bytes:
    reading, count = miner.read(), miner.personality.fans
    rpm = fan_rpm(reading)
    speed = IDLE_FAN_PERCENT if reading.asleep else min(100, round(rpm / 72))
    rows = [{"FAN": f"FAN{n + 1}", "ID": n, "RPM": rpm, "Speed": speed} for n in range(count)]
    control = [{"MinFans": 3, "PowerOffSpeed": IDLE_FAN_PERCENT}]
    return encode(miner, 202, f"{count} Fan(s)", FANCTRL=control, FANS=rows)


def _temps(miner: SimMiner) -> bytes:
    reading, boards = miner.read(), miner.personality.boards
    hot, cool = round(reading.chip_c, 1), round(reading.chip_c - 13, 1)
    corner = {"BottomLeft": hot, "BottomRight": cool, "TopLeft": hot, "TopRight": cool}
    rows = [{**corner, "ID": n, "TEMP": n} for n in range(boards)]
    places = {
        name: {"Label": f"Board {side} ({end})", "Position": position}
        for name, side, end, position in (
            ("BottomLeft", "Exhaust", "bottom", [1, 0]),
            ("BottomRight", "Intake", "bottom", [1, 1]),
            ("TopLeft", "Exhaust", "top", [0, 0]),
            ("TopRight", "Intake", "top", [0, 1]),
        )
    }
    return encode(miner, 201, f"{boards} Temp(s)", METADATA=[places], TEMPS=rows)


def _events(miner: SimMiner) -> bytes:
    return encode(miner, 357, "Miner Events", EVENTS=[])


def _limits(miner: SimMiner) -> bytes:
    ladder = miner.personality.ladder
    row = {
        "FrequencyMax": ladder[-1].frequency_mhz,
        "FrequencyMin": ladder[0].frequency_mhz,
        "VoltageMax": ladder[-1].voltage_v,
        "VoltageMin": ladder[0].voltage_v,
        "FanSpeedMax": 100,
        "FanSpeedMin": 0,
    }
    return encode(miner, 312, "Limit values", LIMITS=[row])


def _atm(miner: SimMiner) -> bytes:
    ladder = miner.personality.ladder
    row = {
        "Enabled": miner.is_atm,
        "MaxProfile": ladder[-1].name,
        "MinProfile": ladder[0].name,
        "PostRampMinutes": 15,
        "StartupMinutes": 5,
        "TempWindow": 5,
    }
    return encode(miner, 339, "ATM configuration", ATM=[row])


def _tempctrl(miner: SimMiner) -> bytes:
    row = {"Dangerous": 80, "Hot": 75, "Mode": "Automatic", "Target": 70}
    return encode(miner, 65, "Temperature control", TEMPCTRL=[row])


def _groups(miner: SimMiner) -> bytes:
    return encode(miner, 96, "groups", GROUPS=[{"GROUP": 0, "Name": "default", "Quota": 1}])


READS: dict[str, Callable[[SimMiner], bytes]] = {
    "version": _version,
    "config": _config,
    "summary": _summary,
    "stats": _stats,
    "devs": _devs,
    "pools": _pools,
    "power": _power,
    "profiles": _profiles,
    "fans": _fans,
    "temps": _temps,
    "events": _events,
    "limits": _limits,
    "atm": _atm,
    "tempctrl": _tempctrl,
    "groups": _groups,
}
