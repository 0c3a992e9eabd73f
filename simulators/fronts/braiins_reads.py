"""Braiins OS replies to reads: keys and shapes of 25.11 on an S19 XP, filled from a SimMiner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.fronts.cgminer import Row, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import Reading, SimMiner

DESCRIPTION = "BOSer boser-buildroot 0.1.0-75912fc7"
NORMAL, PAUSED, SUSPENDED = 2, 3, 4
PROFILE_SHARES = (0.6, 0.7, 0.8, 0.9, 1.0)
"""Targets that the tuner has measured."""
LOW_SHARE, HIGH_SHARE = 0.4, 1.2
REST_SINCE = (25, 7)
WINDOWS = ("last_5s", "last_15s", "last_30s", "last_1m", "last_5m", "last_15m", "last_30m", "last_1h", "last_24h")


def has_rest(miner: SimMiner) -> bool:
    """Whether this firmware has the REST API: "2025-11-21-0-eb658dcd-25.11-plus" has."""
    version = miner.personality.firmware.split("-")[5]
    return tuple(int(part) for part in version.split(".")[:2]) >= REST_SINCE


def limits_w(miner: SimMiner) -> tuple[int, int, int]:
    """Lowest, default and highest power target."""
    full_w = miner.personality.full_w
    return round(full_w * LOW_SHARE), round(full_w), round(full_w * HIGH_SHARE)


def details(miner: SimMiner) -> Row:
    """miner/details."""
    p, who, reading = miner.personality, miner.identity, miner.read()
    state = SUSPENDED if miner.state == "stuck" else NORMAL
    return {
        "uid": who.serial[-16:],
        "miner_identity": {"brand": 1, "model": 18, "name": p.model, "miner_model": p.model},
        "platform": 6,
        "bos_mode": 5,
        "bos_version": {"current": p.firmware, "major": "2022-09-13-0-11012d53-22.08-plus", "bos_plus": True},
        "hostname": who.hostname,
        "mac_address": who.mac.lower(),
        "system_uptime": reading.uptime_s,
        "sticker_hashrate": {"gigahash_per_second": p.full_ths * 1e3},
        "bosminer_uptime_s": reading.uptime_s,
        "system_uptime_s": reading.uptime_s,
        "status": PAUSED if reading.asleep else state,
        "kernel_version": "4.9.38-tag-",
        "control_board_soc_family": 1,
        "serial_number": who.serial,
    }


def stats(miner: SimMiner) -> Row:
    """miner/stats."""
    reading = miner.read()
    return {
        "pool_stats": {"accepted_shares": 5048, "rejected_shares": 10, "stale_shares": 0, "last_difficulty": 131072},
        "miner_stats": _work(reading, miner.personality.full_ths * 1e3, 1),
        "power_stats": {
            "approximated_consumption": {"watt": round(reading.power_w)},
            "efficiency": {"joule_per_terahash": miner.personality.j_per_th},
        },
    }


def hashboards(miner: SimMiner) -> Row:
    """miner/hw/hashboards."""
    p, reading = miner.personality, miner.read()
    return {
        "hashboards": [
            {
                "id": str(n),
                "enabled": not reading.asleep,
                "chips_count": p.chips_per_board,
                "current_voltage": {"volt": 0.0 if reading.asleep else 12.6},
                "current_frequency": {"hertz": 0.0 if reading.asleep else p.frequency_mhz * 1e6},
                "highest_chip_temp": _sensor(n, reading.chip_c),
                "board_temp": {"degree_c": round(reading.chip_c - 15, 1)},
                "stats": _work(reading, p.full_ths * 1e3, p.boards),
                "model": "BHB56801",
                "lowest_inlet_temp": {"degree_c": round(reading.ambient_c + 5, 1)},
                "highest_outlet_temp": {"degree_c": round(reading.chip_c - 15, 1)},
                "serial_number": f"{miner.identity.serial}B{n}",
                "board_name": "BHB56801",
                "chip_type": "BM1366",
            }
            for n in range(1, p.boards + 1)
        ]
    }


def cooling(miner: SimMiner) -> Row:
    """cooling/state."""
    reading = miner.read()
    rpm = 1500 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))
    return {
        "fans": [{"position": n, "rpm": rpm, "target_speed_ratio": 0.8} for n in range(miner.personality.fans)],
        "highest_temperature": _sensor(1, reading.chip_c),
    }


def tuner_state(miner: SimMiner) -> Row:
    """performance/tuner-state."""
    profile = _profile(miner, miner.limit_w)
    mode = {"profile": profile, "current_target": {"watt": miner.limit_w}}
    return {"overall_tuner_state": 2, "mode_state": {"powertargetmodestate": mode}}


def target_profiles(miner: SimMiner) -> Row:
    """performance/target-profiles."""
    full_w = miner.personality.full_w
    found = [_profile(miner, round(full_w * share)) for share in PROFILE_SHARES]
    return {"power_target_profiles": found, "hashrate_target_profiles": []}


def constraints(miner: SimMiner) -> Row:
    """configuration/constraints."""
    low, default, high = limits_w(miner)
    power = {"default": {"watt": default}, "min": {"watt": low}, "max": {"watt": high}}
    return {"tuner_constraints": {"power_target": power}}


def configuration(miner: SimMiner) -> Row:
    """configuration/miner."""
    tuner = {"enabled": True, "tuner_mode": 1, "power_target": {"watt": miner.limit_w}, "hashrate_target": None}
    return {"pool_groups": [], "tuner": tuner}


def pools(miner: SimMiner) -> list[Row]:
    """Pools."""
    found = [
        {
            "uid": f"pool{n}",
            "url": pool.url,
            "user": pool.user,
            "enabled": True,
            "alive": True,
            "active": n == 0,
            "stats": {"accepted_shares": 5048, "rejected_shares": 10, "stale_shares": 0},
        }
        for n, pool in enumerate(miner.settings.pools)
    ]
    return [{"name": "farm", "uid": "0", "pools": found, "strategy": {"quota": {"value": 1}}}]


def network(miner: SimMiner) -> Row:
    """Network."""
    address = {"address": miner.endpoint.host, "netmask": "255.0.0.0"}
    return {
        "hostname": miner.identity.hostname,
        "mac_address": miner.identity.mac.lower(),
        "name": "eth0",
        "networks": [address],
        "protocol": 1,
    }


def _profile(miner: SimMiner, watts: int) -> Row:
    p = miner.personality
    ghs = p.full_ths * 1e3 * float((watts / p.full_w) ** p.hash_exponent)
    return {
        "created": {"seconds": 1776426386, "nanos": 0},
        "target": {"watt": watts},
        "measured_hashrate": {"gigahash_per_second": round(ghs, 3)},
        "estimated_power_consumption": {"watt": watts},
    }


def _work(reading: Reading, nominal_ghs: float, parts: int) -> Row:
    rates = (reading.hash_ths, reading.hash_ths, reading.hash_1m_ths, reading.hash_1m_ths)
    slow = (reading.hash_15m_ths,) * (len(WINDOWS) - len(rates))
    real = {
        name: {"gigahash_per_second": rate * 1e3 / parts} for name, rate in zip(WINDOWS, (*rates, *slow), strict=True)
    }
    return {"real_hashrate": real, "nominal_hashrate": {"gigahash_per_second": nominal_ghs / parts}, "best_share": 7}


def _sensor(number: int, degree_c: float) -> Row:
    return {"id": number, "location": 1, "temperature": {"degree_c": round(degree_c, 1)}}


def rpc(miner: SimMiner, command: str) -> Row | None:
    """Port 4028; None for a command it does not have."""
    p, reading = miner.personality, miner.read()
    mhs, mhs_1m = reading.hash_ths * 1e6, reading.hash_1m_ths * 1e6
    boards = range(p.boards)
    version: list[Row] = [{"API": p.api_version, "BOSer": "boser-buildroot 0.1.0-75912fc7"}]
    found: dict[str, tuple[int, str, list[Row]]] = {
        "version": (22, "VERSION", version),
        "summary": (11, "SUMMARY", [{"Elapsed": reading.uptime_s, "MHS 5s": mhs, "MHS 1m": mhs_1m}]),
        "devs": (9, "DEVS", [{"ASC": n, "Enabled": "Y", "MHS 5s": mhs / p.boards, "MHS 1m": mhs_1m} for n in boards]),
        "devdetails": (69, "DEVDETAILS", [{"DEVDETAILS": n, "Name": "", "Model": p.model} for n in boards]),
        "pools": (7, "POOLS", [{"POOL": n, "URL": pool.url} for n, pool in enumerate(miner.settings.pools)]),
        "tunerstatus": (201, "TUNERSTATUS", [{"TunerChainStatus": []}]),
    }
    if command not in found:
        return None
    code, section, rows = found[command]
    return {"STATUS": [status(code, section.title(), DESCRIPTION)], section: rows, "id": 1}


REST_READS: dict[str, Callable[[SimMiner], object]] = {
    "version": lambda _miner: {"major": 1, "minor": 1, "patch": 0},
    "network": network,
    "miner/details": details,
    "miner/stats": stats,
    "miner/hw/hashboards": hashboards,
    "miner/errors": lambda _miner: {"errors": []},
    "cooling/state": cooling,
    "performance/tuner-state": tuner_state,
    "performance/target-profiles": target_profiles,
    "configuration/constraints": constraints,
    "configuration/miner": configuration,
    "pools": pools,
    "actions/locate": lambda miner: miner.led == "blink",
}
