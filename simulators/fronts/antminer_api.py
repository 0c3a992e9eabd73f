"""Stock Antminer on port 4028: the five reads, filled from a SimMiner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from simulators.fronts.antminer_cgi import COMPILED, MINER_VERSION, fan_rpm
from simulators.fronts.cgminer import Row, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

DESCRIPTION = "cgminer 1.0.0"
MAX_CHAINS = 4


def _api_version(miner: SimMiner) -> Row:
    p = miner.personality
    row = {
        "API": p.api_version,
        "BMMiner": "1.0.0",
        "CompileTime": COMPILED,
        "Miner": MINER_VERSION,
        "Type": p.model,
    }
    return {"STATUS": [status(22, "CGMiner versions", DESCRIPTION)], "VERSION": [row], "id": 1}


def _api_summary(miner: SimMiner) -> Row:
    reading = miner.read()
    row = {
        "Accepted": 4057,
        "Best Share": 12904207043,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Difficulty Accepted": 1305083904.0,
        "Difficulty Rejected": 2490368.0,
        "Difficulty Stale": 0.0,
        "Discarded": 4528177,
        "Elapsed": reading.uptime_s,
        "Found Blocks": 0,
        "GHS 30m": round(reading.hash_15m_ths * 1e3, 2),
        "GHS 5s": round(reading.hash_ths * 1e3, 2),
        "GHS av": round(reading.hash_15m_ths * 1e3, 2),
        "Get Failures": 1,
        "Getwork": 3957,
        "Hardware Errors": 562,
        "Last getwork": int(time.time()),
        "Local Work": 4532155,
        "Network Blocks": 82,
        "Pool Rejected%": 0.0,
        "Pool Stale%": 0.0,
        "Rejected": 11,
        "Remote Failures": 0,
        "Stale": 1,
        "Total MH": 5643633754730.0,
        "Utility": 4.82,
        "Work Utility": 1554353.85,
    }
    return {"STATUS": [status(11, "Summary", DESCRIPTION)], "SUMMARY": [row], "id": 1}


def _api_stats(miner: SimMiner) -> Row:
    p, reading = miner.personality, miner.read()
    chip = 0 if reading.asleep else round(reading.chip_c)
    mhz = 0 if reading.asleep else p.frequency_mhz
    board_ghs = reading.hash_ths * 1e3 / p.boards
    chain: Row = {}
    for n in range(1, MAX_CHAINS + 1):
        fitted = n <= p.boards
        chain[f"chain_acn{n}"] = p.chips_per_board if fitted else 0
        chain[f"chain_acs{n}"] = " ooo" * (p.chips_per_board // 3) if fitted else ""
        chain[f"chain_hw{n}"] = 183 if fitted else 0
        chain[f"chain_rate{n}"] = f"{board_ghs:.2f}" if fitted else ""
        chain[f"freq{n}"] = mhz if fitted else 0
        for kind, below in (("chip", 0), ("pcb", 5), ("pic", 15)):
            temp = max(0, chip - below) if fitted else 0
            chain[f"temp_{kind}{n}"] = "-".join([str(temp)] * 4)
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
        **{f"fan{n}": fan_rpm(reading) for n in range(1, p.fans + 1)},
        "fan_num": p.fans,
        "frequency": mhz,
        "miner_count": p.boards,
        "miner_id": miner.identity.serial.lower(),
        "miner_version": MINER_VERSION,
        "no_matching_work": 562,
        "rate_30m": round(reading.hash_15m_ths * 1e3, 2),
        "rate_unit": "GH",
        "temp_max": chip,
        "temp_num": p.boards,
        "total rate": round(reading.hash_ths * 1e3, 2),
        "total_acn": p.boards * p.chips_per_board,
        "total_freqavg": mhz,
        "total_rateideal": round(p.full_ths * 1e3, 1),
    }
    head = {
        "BMMiner": "1.0.0",
        "CompileTime": COMPILED,
        "Miner": MINER_VERSION,
        "Type": p.model,
    }
    top = status(70, "CGMiner stats", DESCRIPTION)
    return {"STATS": [head, row], "STATUS": [top], "id": 1}


def _api_pools(miner: SimMiner) -> Row:
    rows = [
        {
            "Accepted": round(miner.read().uptime_s * 0.23) if n == 0 else 0,
            "Best Share": 12904207043.0,
            "Diff": "524K",
            "Diff1 Shares": 0,
            "Difficulty Accepted": 0.0,
            "Difficulty Rejected": 0.0,
            "Difficulty Stale": 0.0,
            "Discarded": 0,
            "Get Failures": 0,
            "Getworks": 3,
            "Has GBT": False,
            "Has Stratum": True,
            "Last Share Difficulty": 524288.0,
            "Last Share Time": "0:00:03",
            "Long Poll": "N",
            "POOL": n,
            "Pool Rejected%": 0.0,
            "Pool Stale%%": 0.0,
            "Priority": n,
            "Proxy": "",
            "Proxy Type": "",
            "Quota": 1,
            "Rejected": 0,
            "Remote Failures": 0,
            "Stale": 0,
            "Status": "Alive" if pool.url else "Dead",
            "Stratum Active": n == 0,
            "Stratum URL": pool.url.removeprefix("stratum+tcp://").partition(":")[0],
            "URL": pool.url,
            "User": pool.user,
        }
        for n, pool in enumerate(miner.settings.pools)
    ]
    top = status(7, f"{len(rows)} Pool(s)", DESCRIPTION)
    return {"POOLS": rows, "STATUS": [top], "id": 1}


def _api_devs(miner: SimMiner) -> Row:
    now, reading = int(time.time()), miner.read()
    row = {
        "ASC": 0,
        "Accepted": 4057,
        "Device Elapsed": reading.uptime_s,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Diff1 Work": 0,
        "Difficulty Accepted": 1305083904,
        "Difficulty Rejected": 2490368,
        "Enabled": "Y",
        "Hardware Errors": 0,
        "ID": 0,
        "Last Share Difficulty": now,
        "Last Share Pool": 0,
        "Last Share Time": now,
        "Last Valid Work": now,
        "MHS 5s": 0.0,
        "MHS av": 0.0,
        "Name": "BTM_SOC",
        "Rejected": 11,
        "Status": "Alive",
        "Tenperature": 0.0,
        "Total MH": 0.0,
        "Utility": 0.0,
    }
    return {"DEVS": [row], "STATUS": [status(9, "1 ASC(s)", DESCRIPTION)], "id": 1}


API_READS: dict[str, Callable[[SimMiner], Row]] = {
    "version": _api_version,
    "summary": _api_summary,
    "stats": _api_stats,
    "pools": _api_pools,
    "devs": _api_devs,
}
