"""Auradine replies to reads: keys and shapes of FluxOS 2023-12.27, filled from a SimMiner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.fronts.cgminer import Row, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.miner import SimMiner

DESCRIPTION = "FluxOS-2023-12.27-9bf070ee4408866329c93a70f2dfdc6248938aaa"
LIGHTS = {2: "auto", 3: "blink"}
MODE_NAMES = ("normal", "eco", "turbo", "custom")
MAX_OUT_W = 3452.0


def _reply(code: int, msg: str, section: str, rows: list[Row]) -> Row:
    return {"STATUS": [status(code, msg, DESCRIPTION)], section: rows, "id": 1}


def _summary(miner: SimMiner) -> Row:
    reading = miner.read()
    row = {
        "Accepted": 3310,
        "Elapsed": reading.uptime_s,
        "Hardware Errors": 0,
        "MHS 15m": reading.hash_15m_ths * 1e6,
        "MHS 1m": reading.hash_1m_ths * 1e6,
        "MHS 5m": reading.hash_1m_ths * 1e6,
        "MHS 5s": reading.hash_ths * 1e6,
        "MHS av": reading.hash_15m_ths * 1e6,
        "Rejected": 1,
        "Total MH": 451890758070,
        "Utility": 3.5,
    }
    return _reply(11, "Summary", "SUMMARY", [row])


def _devs(miner: SimMiner) -> Row:
    p, reading = miner.personality, miner.read()
    rows = [
        {"DEV": n, "Enabled": True, "ID": n, "MHS 5s": reading.hash_ths * 1e6 / p.boards, "Name": "ASICBoard"}
        | {"Status": "Alive", "Temperature": round(reading.chip_c - 15, 2)}
        for n in range(1, p.boards + 1)
    ]
    return _reply(9, f"{p.boards} Dev(s)", "DEVS", rows)


def _devdetails(miner: SimMiner) -> Row:
    p = miner.personality
    rows: list[Row] = [
        {"DEVDETAILS": n, "Name": "GCM", "ID": n, "Driver": "gcminer", "Model": p.model} for n in range(p.boards)
    ]
    return _reply(69, "Device Details", "DEVDETAILS", rows)


def _version(_miner: SimMiner) -> Row:
    return _reply(22, "GCMiner versions", "VERSION", [{"API": "1.0", "GCMiner": "0.5"}])


def _pools(miner: SimMiner) -> Row:
    rows = [
        {"Accepted": 10 if n == 0 else 0, "POOL": n, "Priority": n, "Quota": 1, "Rejected": 0}
        | {"Status": "Alive", "Stratum Active": n == 0, "URL": pool.url, "User": pool.user}
        for n, pool in enumerate(miner.settings.pools)
    ]
    return _reply(7, f"{len(rows)} Pool(s)", "POOLS", rows)


def _asccount(miner: SimMiner) -> Row:
    p = miner.personality
    return _reply(104, "ASC count", "ASCCount", [{"AsicCount": p.boards * p.chips_per_board, "BoardCount": p.boards}])


def _fan(miner: SimMiner) -> Row:
    reading, fans = miner.read(), miner.personality.fans
    speed = 1500 if reading.asleep else round(3000 + 55 * max(0.0, reading.chip_c - 15))
    rows: list[Row] = [{"ID": n, "Max": 7700, "Speed": speed, "Target": 7000} for n in range(1, fans + 1)]
    return _reply(510, f"Total fans: {fans}", "Fan", rows)


def _frequency(miner: SimMiner) -> Row:
    p = miner.personality
    chips: list[Row] = [{"Frequency": float(p.frequency_mhz), "ID": n} for n in range(3)]
    rows: list[Row] = [{"ChipFrequency": chips, "ID": n, "Name": f"Hash Board {n}"} for n in range(1, p.boards + 1)]
    return _reply(640, "System frequency", "Frequency", rows)


def _voltage(miner: SimMiner) -> Row:
    chips: list[Row] = [{"ID": n, "Voltage": 0.24} for n in range(3)]
    boards = range(1, miner.personality.boards + 1)
    rows: list[Row] = [{"ChipVoltage": chips, "ID": n, "Name": f"Hash Board {n}"} for n in boards]
    return _reply(630, "System voltage", "Voltage", rows)


def _temperature(miner: SimMiner) -> Row:
    reading = miner.read()
    chip, board = round(reading.chip_c, 3), round(reading.chip_c - 15, 3)
    control: Row = {"BoardTemp": [{"ID": 0, "Temperature": 24.9}], "ChipTemp": None, "ID": 0, "Name": "Control Board"}
    rows = [control] + [
        {
            "BoardTemp": [{"ID": k, "Temperature": board - k} for k in range(5)],
            "ChipTemp": [{"ID": k, "Temperature": chip - k} for k in range(3)],
            "ID": n,
            "Name": f"Hash Board {n}",
        }
        for n in range(1, miner.personality.boards + 1)
    ]
    return _reply(590, "System temperature", "Temperature", rows)


def _ipreport(miner: SimMiner) -> Row:
    p, who = miner.personality, miner.identity
    row = {
        "CBSerialNo": who.serial,
        "ChassisSerialNo": who.serial,
        "HBSerialNo": [f"{who.serial}B{n}" for n in range(p.boards)],
        "InternalType": "T0",
        "SerialNo": who.serial,
        "command": "ipreport",
        "hostname": who.hostname,
        "ip": miner.endpoint.host,
        "mac": who.mac.lower(),
        "model": p.model,
        "version": p.firmware,
    }
    return _reply(620, "IP Report", "IPReport", [row])


def _led(miner: SimMiner) -> Row:
    code = 3 if miner.led == "blink" else 2
    return _reply(530, "Total LEDs 2", "LED", [{"Code": code, "LED1": 1, "LED2": 1, "Msg": "Normal"}])


def _mode(miner: SimMiner) -> Row:
    name = MODE_NAMES[miner.mode]
    row: Row = {"Mode": name, "Sleep": "on" if miner.read().asleep else "off"}
    if name == "custom":
        row["Power"] = miner.limit_w
    return _reply(540, f"Operating mode: '{name}'", "Mode", [row])


def _psu(miner: SimMiner) -> Row:
    watts = miner.read().power_w
    row = {
        "FanSpeed1": "4052.00 RPM",
        "FanSpeed2": "4144.00 RPM",
        "Iin": f"{watts / 245:.2f}A",
        "PoutMax": f"{MAX_OUT_W:.2f}W",
        "PowerIn": f"{watts:.2f}W",
        "PowerOut": f"{watts * 0.94:.2f}W",
        "Vin": "245.00V",
        "Vout": "11.53V",
        "VoutSet": "11.50V",
    }
    return _reply(570, "PSU status", "PSU", [row])


READS: dict[str, Callable[[SimMiner], Row]] = {
    "summary": _summary,
    "devs": _devs,
    "devdetails": _devdetails,
    "version": _version,
    "pools": _pools,
    "asccount": _asccount,
    "fan": _fan,
    "frequency": _frequency,
    "voltage": _voltage,
    "temperature": _temperature,
    "ipreport": _ipreport,
    "led": _led,
    "mode": _mode,
    "psu": _psu,
}
