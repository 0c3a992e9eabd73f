"""What a stock Antminer's CGI scripts return, filled from a SimMiner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from simulators.personality import Quirk

if TYPE_CHECKING:
    from simulators.fronts.cgminer import Row
    from simulators.miner import Reading, SimMiner

COMPILED = "Tue Dec  6 16:12:30 CST 2022"
MINER_VERSION = "49.0.1.3"
REALM = "antMiner Configuration"


def system_info(miner: SimMiner) -> Row:
    """get_system_info.cgi."""
    p, who = miner.personality, miner.identity
    return {
        "minertype": p.model,
        "nettype": "DHCP",
        "netdevice": "eth0",
        "macaddr": who.mac,
        "hostname": who.hostname,
        "ipaddress": miner.endpoint.host,
        "netmask": "255.0.0.0",
        "gateway": "",
        "dnsservers": "",
        "system_mode": "GNU/Linux",
        "system_kernel_version": "Linux 4.9.113 #1 SMP PREEMPT Thu Oct 9 18:55:45 CST 2025",
        "system_filesystem_version": p.firmware,
        "firmware_type": "Release",
        "serinum": who.serial,
    }


def network_info(miner: SimMiner) -> Row:
    """get_network_info.cgi."""
    return {
        "nettype": "DHCP",
        "netdevice": "eth0",
        "macaddr": miner.identity.mac,
        "ipaddress": miner.endpoint.host,
        "netmask": "255.0.0.0",
        "conf_nettype": "DHCP",
        "conf_hostname": miner.identity.hostname,
        "conf_ipaddress": "",
        "conf_netmask": "",
        "conf_gateway": "",
        "conf_dnsservers": "",
    }


def conf(miner: SimMiner, freq_level: str) -> Row:
    """get_miner_conf.cgi: all keys, or the handful that the newest firmware returns."""
    kept = miner.settings
    mode = ("1" if miner.read().asleep else "0") if _says_otherwise(miner) else str(miner.mode)
    row: Row = {
        "pools": [{"url": p.url, "user": p.user, "pass": p.password} for p in kept.pools],
        "bitmain-fan-ctrl": kept.fan_control,
        "bitmain-fan-pwm": kept.fan_pwm,
        "bitmain-work-mode": mode,
    }
    if Quirk.NO_PERCENT not in miner.quirks:
        row["bitmain-hashrate-percent"] = str(miner.percent)
    if Quirk.SHORT_CONF in miner.quirks:
        return row
    return row | {
        "api-listen": True,
        "api-network": True,
        "api-groups": "A:stats:pools:devs:summary:version",
        "api-allow": "A:0/0,W:*",
        "bitmain-use-vil": True,
        "bitmain-freq": str(miner.personality.frequency_mhz),
        "bitmain-voltage": "1280",
        "bitmain-ccdelay": "0",
        "bitmain-pwth": "0",
        "bitmain-freq-level": freq_level,
    }


def cgi_stats(miner: SimMiner, freq_level: str) -> Row:
    """stats.cgi; STATS is empty asleep."""
    reading, p = miner.read(), miner.personality
    if reading.asleep:
        return {**_cgi_head(miner), "STATS": []}
    board_ghs, chip = reading.hash_ths * 1e3 / p.boards, round(reading.chip_c)
    chains = [
        {
            "index": n,
            "freq_avg": p.frequency_mhz,
            "rate_ideal": round(p.full_ths * 1e3 / p.boards, 1),
            "rate_real": round(board_ghs, 2),
            "asic_num": p.chips_per_board,
            "asic": " ooo" * (p.chips_per_board // 3),
            "temp_pic": [chip - 15] * 4,
            "temp_pcb": [chip - 5] * 4,
            "temp_chip": [chip] * 4,
            "hw": 0,
            "eeprom_loaded": True,
            "sn": f"{miner.identity.serial}B{n}",
            "hwp": 0,
        }
        for n in range(p.boards)
    ]
    row = {
        **_rates(miner, reading),
        "chain_num": p.boards,
        "fan_num": p.fans,
        "fan": [fan_rpm(reading)] * p.fans,
        "hwp_total": 0,
        "miner-mode": miner.mode,
        "freq-level": int(freq_level) if freq_level.isdigit() else 100,
        "chain": chains,
    }
    return {**_cgi_head(miner), "STATS": [row]}


def cgi_summary(miner: SimMiner) -> Row:
    """summary.cgi; SUMMARY is empty asleep."""
    reading = miner.read()
    if reading.asleep:
        return {**_cgi_head(miner), "SUMMARY": []}
    kinds = ("rate", "network", "fans", "temp")
    row = {
        **_rates(miner, reading),
        "hw_all": 562,
        "bestshare": 12904207043,
        "status": [{"type": kind, "status": "s", "code": 0, "msg": ""} for kind in kinds],
    }
    return {**_cgi_head(miner), "SUMMARY": [row]}


def cgi_pools(miner: SimMiner) -> Row:
    """pools.cgi."""
    rows = [
        {
            "index": n,
            "url": pool.url,
            "user": pool.user,
            "status": "Alive" if pool.url else "Dead",
            "priority": n,
            "getworks": 3951,
            "accepted": 4057 if n == 0 else 0,
            "rejected": 0,
            "discarded": 0,
            "stale": 0,
            "diff": "524K",
            "diffa": 0,
            "diffr": 0,
            "diffs": 0,
            "lsdiff": 0,
            "lstime": "0:00:03",
        }
        for n, pool in enumerate(miner.settings.pools)
    ]
    return {**_cgi_head(miner), "POOLS": rows}


def fan_rpm(reading: Reading) -> int:
    """Fans stop asleep and speed up with the chips."""
    return 0 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))


def _says_otherwise(miner: SimMiner) -> bool:
    return miner.read().asleep != miner.is_asleep


def _cgi_head(miner: SimMiner) -> Row:
    now = int(time.time())
    return {
        "STATUS": {
            "STATUS": "S",
            "when": now,
            "timestamp": now,
            "api_version": "1.0.0",
            "Msg": "stats",
        },
        "INFO": {
            "miner_version": MINER_VERSION,
            "CompileTime": COMPILED,
            "type": miner.personality.model,
        },
    }


def _rates(miner: SimMiner, reading: Reading) -> Row:
    return {
        "elapsed": reading.uptime_s,
        "rate_5s": round(reading.hash_ths * 1e3, 2),
        "rate_30m": round(reading.hash_15m_ths * 1e3, 2),
        "rate_avg": round(reading.hash_15m_ths * 1e3, 2),
        "rate_ideal": round(miner.personality.full_ths * 1e3, 1),
        "rate_unit": "GH/s",
    }
