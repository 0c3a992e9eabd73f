"""Avalon replies to reads: bracketed status of the A series and of the Q, Mini and Nano, filled from a SimMiner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.fronts.cgminer import Row
    from simulators.miner import Reading, SimMiner

Sections = dict[str, list["Row"]]

ASLEEP_SOFTOFF, BOOT_SOFTOFF = 4, 6
"""SoftOFF of a sleeping machine (5 on an A1346, 4 on a Q) and right after a boot."""
SUPPLY_LOSS = 0.91
"""Output watts per watt at the wall: 3189 / 3504 in the recording of an A1246."""
IDLE_OUT_W = 0
MAX_OUT_W = {"1246-83": 3200, "Q": 1800}


@dataclass(frozen=True, slots=True)
class Read:
    """One read: code and text of its head, and its sections."""

    code: int
    message: Callable[[SimMiner], str]
    sections: Callable[[SimMiner], Sections]


def _is_home(miner: SimMiner) -> bool:
    """Whether it answers as the Q, Mini and Nano do."""
    return miner.personality.boards == 1


def _version(miner: SimMiner) -> Sections:
    p, home = miner.personality, _is_home(miner)
    row = {
        "CGMiner": "4.11.1",
        "API": "3.7",
        "STM8": "20.08.01",
        "PROD": f"Avalon {p.model}" if home else f"AvalonMiner {p.model}",
        "MODEL": p.model,
        "HWTYPE": "MM4v2_X3" if home else "MM3v2_X3",
        "SWTYPE": "MM319" if home else "MM314",
        "VERSION": p.firmware,
        "LOADER": "d0d779de.00",
        "DNA": miner.identity.serial.lower(),
        "MAC": miner.identity.mac.replace(":", "").lower(),
        "UPAPI": "2",
    }
    return {"VERSION": [row]}


def _summary(miner: SimMiner) -> Sections:
    reading = miner.read()
    row = {
        "Accepted": 890,
        "Best Share": 354914572,
        "Elapsed": reading.uptime_s,
        "Hardware Errors": 0,
        "MHS 15m": round(reading.hash_15m_ths * 1e6, 2),
        "MHS 1m": round(reading.hash_1m_ths * 1e6, 2),
        "MHS 5m": round(reading.hash_15m_ths * 1e6, 2),
        "MHS 5s": round(reading.hash_ths * 1e6, 2),
        "MHS av": round(miner.personality.full_ths * 1e6, 2),
        "Rejected": 2,
    }
    return {"SUMMARY": [row]}


def _devs(miner: SimMiner) -> Sections:
    reading = miner.read()
    row = {
        "ASC": 0,
        "Name": "AVA10",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Temperature": round(reading.ambient_c, 2),
        "MHS av": round(miner.personality.full_ths * 1e6, 2),
        "MHS 5s": round(reading.hash_ths * 1e6, 2),
        "MHS 1m": round(reading.hash_1m_ths * 1e6, 2),
        "MHS 5m": round(reading.hash_15m_ths * 1e6, 2),
        "MHS 15m": round(reading.hash_15m_ths * 1e6, 2),
        "Device Elapsed": reading.uptime_s,
    }
    return {"DEVS": [row]}


def _pools(miner: SimMiner) -> Sections:
    rows = [
        {
            "Accepted": 890,
            "Get Failures": 0,
            "POOL": number,
            "Password": "x",
            "Priority": number,
            "Quota": 1,
            "Rejected": 2,
            "Remote Failures": 0,
            "Stale": 0,
            "Status": "Alive",
            "Stratum Active": number == 0,
            "Stratum URL": pool.url,
            "URL": pool.url,
            "User": pool.user,
        }
        for number, pool in enumerate(miner.settings.pools)
    ]
    return {"POOLS": rows}


def _stats(miner: SimMiner) -> Sections:
    reading = miner.read()
    row: Row = {
        "Calls": 0,
        "Elapsed": reading.uptime_s,
        "ID": "AVA100",
        "MM Count": 1,
        "STATS": 0,
        "Smart Speed": 1,
        "Voltage Level Offset": 0,
    }
    boards = range(miner.personality.boards)
    if _is_home(miner):
        row["MM ID0:Summary"] = f"'STATS':{{{_body(miner, reading)}}}"
        row["HBinfo"] = f"'HB0':{{{_chips(miner, reading, 0)}}}"
    else:
        chips = " ".join(_chips(miner, reading, board) for board in boards)
        row["MM ID0"] = f"{_body(miner, reading)} {chips}"
    pool: Row = {"Elapsed": reading.uptime_s, "ID": "POOL0", "STATS": 1, "Work Diff": 262144.0}
    return {"STATS": [row, pool]}


def _body(miner: SimMiner, reading: Reading) -> str:
    """Pairs in the order of the recorded A1246 and, for the home machines, of published Q replies."""
    p = miner.personality
    home, hashing = _is_home(miner), reading.hash_ths > 0
    spd_ghs = 0.0 if reading.asleep else reading.hash_ths * 1000
    wall_w = round(reading.power_w)
    out_w = round(reading.power_w * SUPPLY_LOSS) if wall_w > p.standby_w + 1 else IDLE_OUT_W
    milli_v = 1316 if out_w else 0
    fan = 0 if reading.asleep and not out_w else 5344
    chip_c = round(reading.chip_c) if hashing else 0
    heat = (
        f"ITemp[{reading.ambient_c:.0f}] HBITemp[{reading.chip_c - 20:.0f}] HBOTemp[{reading.chip_c - 10:.0f}]"
        if home
        else f"Temp[{reading.ambient_c:.0f}]"
    )
    boards = range(p.boards)
    per_board = " ".join(f"{spd_ghs / p.boards:.2f}" for _ in boards)
    rung = next((n for n, each in enumerate(p.ladder) if each == miner.profile), 0)
    pairs = [
        f"Ver[{p.model}-{p.firmware}]",
        f"DNA[{miner.identity.serial.lower()}]",
        "MEMFREE[1201472.0]",
        "NETFAIL[0 0 0 0 0 0 0 0]",
        f"SYSTEMSTATU[Work: {_work(miner, reading)}, Hash Board: {p.boards} ]",
        f"Elapsed[{reading.uptime_s}]",
        "BOOTBY[0x08.00000000]",
        "DH[2.732%]",
        heat,
        f"TMax[{chip_c}]",
        f"TAvg[{max(0, chip_c - 8)}]",
        *(f"Fan{number}[{fan}]" for number in range(1, p.fans + 1)),
        f"FanR[{'72' if fan else '0'}%]",
        f"PS[0 1214 {milli_v} {out_w * 100 // 1316 if out_w else 0} {out_w} 1320 {wall_w}]",
        f"GHSspd[{spd_ghs:.2f}]",
        "DHspd[2.732%]",
        f"GHSmm[{p.full_ths * 1000:.2f}]",
        f"GHSavg[{p.full_ths * 980:.2f}]",
        f"Freq[{p.frequency_mhz}.41]",
        f"Led[{int(miner.led != 'auto')}]",
        f"MGHS[{per_board}]",
        f"MTmax[{' '.join(str(chip_c) for _ in boards)}]",
        f"MTavg[{' '.join(str(max(0, chip_c - 8)) for _ in boards)}]",
        f"TA[{p.boards * p.chips_per_board}]",
        "Core[A3201]",
        "PING[443]",
        "POWS[0]",
        f"HASHS[{' '.join('0' for _ in boards)}]",
        "POOLS[0]",
        f"SoftOFF[{_softoff(miner, reading)}]",
        "ECHU[0 0 0]",
        "ECMM[0]",
        f"MPO[{MAX_OUT_W.get(p.model, 3200)}]",
        f"WORKMODE[{rung}]",
        "WORKLEVEL[0]",
    ]
    return " ".join(pairs)


def _work(miner: SimMiner, reading: Reading) -> str:
    if reading.asleep:
        return "In Idle"
    return "In Init" if miner.fleet.restart_left_s[miner.row] > 0 else "In Work"


def _softoff(_miner: SimMiner, reading: Reading) -> int:
    return ASLEEP_SOFTOFF if reading.asleep else 0


def _chips(miner: SimMiner, reading: Reading, board: int) -> str:
    count, heat_c = miner.personality.chips_per_board, f"{reading.chip_c:3.0f}"
    return (
        f"PVT_T{board}[{' '.join([heat_c] * count)}] PVT_V{board}[{' '.join(['305'] * count)}] "
        f"MW{board}[{' '.join(['620'] * count)}]"
    )


def _text(text: str) -> Callable[[SimMiner], str]:
    return lambda _miner: text


READS: dict[str, Read] = {
    "version": Read(22, _text("CGMiner versions"), _version),
    "summary": Read(11, _text("Summary"), _summary),
    "devs": Read(9, _text("1 ASC(s)"), _devs),
    "pools": Read(7, lambda miner: f"{len(miner.settings.pools)} Pool(s)", _pools),
    "stats": Read(70, _text("CGMiner stats"), _stats),
    "estats": Read(70, _text("CGMiner stats"), _stats),
}
