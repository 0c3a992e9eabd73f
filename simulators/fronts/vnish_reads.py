"""VNish replies to reads: keys and shapes of 1.2.7 on an S21 Pro, filled from a SimMiner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.fronts.cgminer import Row, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import Reading, SimMiner

DESCRIPTION = "cgminer 4.11.1"
PRESET_STEP_W = 90
"""Distance of two presets (1.2.7 on an S21 Pro lists 2710, 2800, 2890, ... W)."""
PRESETS_BELOW, PRESETS_ABOVE = 12, 4
"""How many around the stock rating; those above need no other supply but were never tuned."""
THROTTLE_SINCE = (1, 3, 3)


def has_throttle(miner: SimMiner) -> bool:
    """Whether this firmware has mining/throttle."""
    parts = miner.personality.firmware.split(".")
    return tuple(int(part) for part in parts if part.isdecimal()) >= THROTTLE_SINCE


def presets(miner: SimMiner) -> list[Row]:
    """autotune/presets: those up to the stock rating are tuned."""
    p = miner.personality
    full_w = round(p.full_w)
    steps = range(-PRESETS_BELOW, PRESETS_ABOVE + 1)
    return [_preset("disabled", "Disabled", tuned=False)] + [
        _preset(str(watts), f"{watts} watt ~ {_preset_ths(miner, watts):.0f} TH", tuned=watts <= full_w)
        for watts in (full_w + PRESET_STEP_W * step for step in steps)
    ]


def _preset_ths(miner: SimMiner, watts: int) -> float:
    p = miner.personality
    return p.full_ths * float((watts / p.full_w) ** p.hash_exponent)


def _preset(name: str, pretty: str, *, tuned: bool) -> Row:
    return {
        "name": name,
        "pretty": pretty,
        "status": "tuned" if tuned else "untuned",
        "modded_psu_required": False,
    }


def _info(miner: SimMiner) -> Row:
    p, who = miner.personality, miner.identity
    network = {"mac": who.mac, "dhcp": True, "ip": miner.endpoint.host, "netmask": "255.0.0.0", "gateway": ""}
    uptime_min = miner.read().uptime_s // 60
    return {
        "miner": p.model,
        "model": p.model.removeprefix("Antminer ").replace(" ", "").lower(),
        "fw_name": "Vnish",
        "fw_version": p.firmware,
        "platform": "aml",
        "install_type": "nand",
        "build_time": "2025-12-22 19:12:30",
        "algorithm": "sha256d",
        "hr_measure": "GH/s",
        "system": {
            "os": "GNU/Linux",
            "miner_name": p.model,
            "network_status": {**network, "dns": [], "hostname": who.hostname},
            "uptime": f"{uptime_min // 60}:{uptime_min % 60:02d}",
        },
        "serial": who.serial,
    }


def _summary(miner: SimMiner) -> Row:
    p, reading = miner.personality, miner.read()
    ghs, watts, hot = reading.hash_ths * 1e3, round(reading.power_w), round(reading.chip_c)
    mining: Row = {"miner_state": _state(miner, reading), "miner_state_time": reading.uptime_s}
    if has_throttle(miner):
        mining["throttled"] = miner.percent
    chips, boards = {"min": hot - 10, "max": hot}, {"min": hot - 25, "max": hot - 15}
    found: Row = {
        "miner_status": mining,
        "miner_type": f"{p.model} (Vnish {p.firmware})",
        "hr_stock": p.full_ths * 1e3,
        "average_hashrate": round(reading.hash_15m_ths, 5),
        "instant_hashrate": round(reading.hash_ths, 5),
        "hr_realtime": round(ghs, 2),
        "hr_nominal": round(p.full_ths * 1e3, 2),
        "hr_average": round(reading.hash_15m_ths * 1e3, 2),
        "pcb_temp": boards,
        "chip_temp": chips,
        "power_consumption": watts,
        "power_usage": watts,
        "power_efficiency": round(p.j_per_th, 3),
        "hw_errors": 57,
        "pools": [_pool(n, pool.url, pool.user) for n, pool in enumerate(miner.settings.pools)],
        "cooling": {
            "fan_num": p.fans,
            "fans": [{"id": n, "rpm": _rpm(reading), "status": "ok", "max_rpm": 6500} for n in range(p.fans)],
            "settings": {"mode": {"name": "auto"}},
            "fan_duty": 20 if reading.asleep else 90,
        },
        "chains": [_chain(n + 1, miner, reading, chips, boards) for n in range(p.boards)],
        "psu": {"temps": {}, "psu_power_metering": True},
    }
    return {"miner": found}


def _state(miner: SimMiner, reading: Reading) -> str:
    if reading.asleep:
        return "stopped"
    return {"restarting": "restarting", "waking": "starting", "stuck": "failure"}.get(miner.state, "mining")


def _pool(n: int, url: str, user: str) -> Row:
    return {
        "id": n,
        "url": url.removeprefix("stratum+tcp://"),
        "pool_type": "UserPool",
        "user": user,
        "status": "active" if n == 0 else "working",
        "asic_boost": True,
        "diff": "262K",
        "accepted": 1599 if n == 0 else 0,
        "rejected": 9 if n == 0 else 0,
        "stale": 0,
        "ls_diff": 262144.0,
        "ls_time": "0:00:04",
        "diffa": 0.0,
        "ping": 8,
    }


def _chain(n: int, miner: SimMiner, reading: Reading, chips: Row, boards: Row) -> Row:
    p = miner.personality
    return {
        "id": n,
        "frequency": 0.0 if reading.asleep else float(p.frequency_mhz),
        "voltage": 0 if reading.asleep else 13000,
        "power_consumption": round(reading.power_w / p.boards),
        "hashrate_ideal": p.full_ths * 1e3 / p.boards,
        "hashrate_rt": reading.hash_ths * 1e3 / p.boards,
        "hr_error": 0.0,
        "hw_errors": 8,
        "pcb_temp": boards,
        "chip_temp": chips,
        "chip_statuses": {"red": 0, "orange": 0, "grey": p.chips_per_board},
        "status": {"state": "stopped" if reading.asleep else "mining"},
    }


def _settings(miner: SimMiner) -> Row:
    kept = miner.settings
    pools = [{"url": pool.url, "user": pool.user, "pass": pool.password} for pool in kept.pools]
    cooling = {"mode": {"name": "auto", "param": 65}, "fan_min_count": 4, "fan_min_duty": 10, "fan_max_duty": 100}
    chains = [{"freq": miner.personality.frequency_mhz, "chips": [], "disabled": False}] * miner.personality.boards
    overclock = {
        "modded_psu": False,
        "preset": str(miner.limit_w),
        "globals": {"volt": 1300, "freq": miner.personality.frequency_mhz},
        "chains": chains,
        "preset_switcher": {"enabled": False},
    }
    misc = {"restart_hashrate": 0, "restart_temp": 90, "quick_start": False}
    return {
        "miner": {"cooling": cooling, "misc": misc, "overclock": overclock, "pools": pools},
        "ui": {"theme": "auto", "consts": {}},
        "network": {"hostname": miner.identity.hostname, "dhcp": True},
        "password": None,
    }


def _perf(miner: SimMiner) -> Row:
    current = next((row for row in presets(miner) if row["name"] == str(miner.limit_w)), None)
    return {"current_preset": current, "preset_switcher": {"enabled": False}}


def _rpc_stats(miner: SimMiner) -> Row:
    p, reading = miner.personality, miner.read()
    hot = round(reading.chip_c)
    row: Row = {
        "Elapsed": reading.uptime_s,
        "GHS 5s": f"{reading.hash_ths * 1e3:.2f}",
        "GHS av": round(reading.hash_15m_ths * 1e3, 2),
        "fan_num": p.fans,
        **{f"fan{n}": _rpm(reading) for n in range(1, p.fans + 1)},
        "state": _state(miner, reading),
        "total_rate": round(reading.hash_ths * 1e3, 2),
        "total_rateideal": round(p.full_ths * 1e3, 2),
        "total_acn": p.boards * p.chips_per_board,
    }
    for n in range(1, p.boards + 1):
        row |= {
            f"temp{n}": hot - 15,
            f"temp2_{n}": hot,
            f"temp_chip{n}": "-".join([str(hot)] * 4),
            f"temp_pcb{n}": "-".join([str(hot - 15)] * 4),
            f"chain_consumption{n}": round(reading.power_w / p.boards),
            f"chain_rate{n}": round(reading.hash_ths * 1e3 / p.boards, 2),
            f"chain_rateideal{n}": round(p.full_ths * 1e3 / p.boards, 2),
            f"chain_acn{n}": p.chips_per_board,
            f"freq_avg{n}": float(p.frequency_mhz),
        }
    head = {"Type": f"{p.model} (Vnish {p.firmware})", "Miner": "0.0.0", "Cgminer": p.firmware}
    return {"STATUS": [status(70, "CGMiner stats", DESCRIPTION)], "STATS": [head, row], "id": 1}


def _rpc_summary(miner: SimMiner) -> Row:
    reading = miner.read()
    row = {
        "Elapsed": reading.uptime_s,
        "GHS 5s": round(reading.hash_ths * 1e3, 2),
        "GHS av": round(reading.hash_15m_ths * 1e3, 2),
        "Accepted": 1823,
        "Rejected": 10,
    }
    return {"STATUS": [status(11, "Summary", DESCRIPTION)], "SUMMARY": [row], "id": 1}


def _rpc_pools(miner: SimMiner) -> Row:
    rows = [
        {"POOL": n, "URL": pool.url, "User": pool.user, "Status": "Alive", "Stratum Active": n == 0}
        | {"Accepted": 1599, "Rejected": 9, "Stale": 0}
        for n, pool in enumerate(miner.settings.pools)
    ]
    return {"STATUS": [status(7, f"{len(rows)} Pool(s)", DESCRIPTION)], "POOLS": rows, "id": 1}


def _rpc_devdetails(_miner: SimMiner) -> Row:
    row = {"DEVDETAILS": 0, "Name": "BTM_SOC", "ID": 0, "Driver": "bitmain_drv", "Kernel": "", "Model": ""}
    return {"STATUS": [status(69, "Device Details", DESCRIPTION)], "DEVDETAILS": [row], "id": 1}


def _rpm(reading: Reading) -> int:
    return 1200 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))


HTTP_READS: dict[str, Callable[[SimMiner], Row | list[Row]]] = {
    "info": _info,
    "summary": _summary,
    "settings": _settings,
    "perf-summary": _perf,
    "autotune/presets": presets,
}
RPC_READS: dict[str, Callable[[SimMiner], Row]] = {
    "stats": _rpc_stats,
    "summary": _rpc_summary,
    "pools": _rpc_pools,
    "devdetails": _rpc_devdetails,
}
