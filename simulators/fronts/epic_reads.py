"""ePIC PowerPlay replies to reads: keys and shapes of 1.5.13 on an S19 XP, filled from a SimMiner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulators.personality import Quirk

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.fronts.cgminer import Row
    from simulators.miner import Reading, SimMiner

ALGORITHM, TARGET, TUNES, LAST_COMMAND = "epic_algorithm", "epic_target", "epic_tunes", "epic_last_command"
"""Keys in `SimMiner.kept`."""
DEFAULT_ALGORITHM = "VoltageOptimizer"
POWER_TUNE = "PowerTune"
MIN_THROTTLE, THROTTLE_STEP = 50, 5
FAN_SLOTS = range(1, 13)


def algorithms(miner: SimMiner) -> list[Row]:
    """What perpetual tune can aim with, in TH/s or W."""
    found: list[Row] = [
        {"algorithm": name, "description": "", "max": 300, "min": 60, "name": name}
        for name in (DEFAULT_ALGORITHM, "ChipTune", "BoardTune")
    ]
    if Quirk.POWER_TUNE in miner.quirks:
        found.append({"algorithm": POWER_TUNE, "description": "", "max": 6000, "min": 1000, "name": "Power Tune"})
    return found


def _capabilities(miner: SimMiner) -> Row:
    p, who = miner.personality, miner.identity
    return {
        "Board Serial Numbers": [f"{who.serial}B{board}" for board in range(p.boards)],
        "Chip Type": "BM1366",
        "Chips Per Bank": 10,
        "Coins": ["BTC"],
        "Control Board Version": {
            "carrierBoardVersion": "4.1.0",
            "cpuHardware": "STM32 (Device Tree Support)",
            "cpuSerial": who.serial,
            "somBoardVersion": "7.1.0",
        },
        "Default Clock": p.frequency_mhz,
        "Default Hashrate": round(p.full_ths),
        "Default Voltage": 12900,
        "Display": ["ClksAndVoltage", "ShutdownTemp", "PerpetualTune"],
        "Max Clock Configs": 1,
        "Max HBs": p.boards,
        "Model": p.model,
        "Model Subtype": "BHB56801",
        "Performance Estimator": {"Chip Count": p.chips_per_board, "Hashes Per Second Per Chip": 894.0},
        "PerpetualTune": algorithms(miner),
        "Psu Info": {"FW": 25, "Max Vout": 15182, "Min Vout": 11877, "PSU Type": 118},
        "Temp Sensor Info": {"Count": 2, "Type": "Board"},
        "Tune Presets": [
            {"clk": 0, "hashrate": rung.hash_rate_ths, "power": rung.watts, "voltage": 12900} for rung in p.ladder
        ],
        "Voltage Estimator": {"Slope": 0.0041, "Y Intercept": 11.0},
    }


def _network(miner: SimMiner) -> Row:
    found = {
        "address": miner.endpoint.host,
        "dns": "127.0.0.1",
        "gateway": "127.0.0.1",
        "mac_address": miner.identity.mac,
        "netmask": "255.0.0.0",
    }
    return {"dhcp": found}


def _summary(miner: SimMiner) -> Row:
    reading, p = miner.read(), miner.personality
    ths = 0.0 if reading.asleep else reading.hash_ths
    fan = 0 if reading.asleep else 5900
    algorithm = miner.kept.get(ALGORITHM, DEFAULT_ALGORITHM)
    first = miner.settings.pools[0] if miner.settings.pools else None
    return {
        "Disable Board On Failure": True,
        "Enable Boards On Idle": False,
        "Fans": {
            "Fan Mode": {"Auto": {"Idle Speed": 20, "Target Temperature": 60}},
            "Fans Speed": 20 if reading.asleep else 100,
            "Minimum Working Fans": 0,
        },
        "Fans Rpm": {f"Fans Speed {slot}": fan if slot <= p.fans else None for slot in FAN_SLOTS},
        "HBStatus": [{"Detected": True, "Enabled": True, "Index": board} for board in range(p.boards)],
        "HBs": [] if reading.asleep else [_board(miner, reading, board) for board in range(p.boards)],
        "Hostname": miner.identity.hostname,
        "HwConfig": {"Boards Target Clock": [{"Data": p.frequency_mhz, "Index": board} for board in range(p.boards)]},
        "IdleOnConnectionLost": True,
        "Last License Error": None,
        "Mining": {"Algorithm": "SHA-256", "Coin": "BTC"},
        "Misc": {"Critical Temp": 100.0, "Locate Miner State": miner.led != "auto", "Shutdown Temp": 85.0},
        "OS Type": "umcOS",
        "Overdrive": False,
        "PerpetualTune": {
            "Algorithm": {
                algorithm: {
                    "Min Throttle Target": MIN_THROTTLE,
                    "Optimized": reading.warm,
                    "Target": miner.kept.get(TARGET, round(p.full_ths)),
                    "Throttle Step": THROTTLE_STEP,
                    "Throttle Target": None,
                    "Unit": "W" if algorithm == POWER_TUNE else "TH/s",
                }
            },
            "Running": bool(miner.kept.get(TUNES, 1)),
        },
        "Power Supply Stats": {
            "Input Current": 0.0,
            "Input Power": round(reading.power_w, 3),
            "Input Voltage": 0.0,
            "Output Current": 0.0,
            "Output Power": 0.0,
            "Output Voltage": 12.595,
            "Target Voltage": 12600,
        },
        "PresetInfo": {"Target Power": round(p.full_w)},
        "Session": {
            "Accepted": 1862,
            "Active HBs": 0 if reading.asleep else p.boards,
            "Average MHs": round(p.full_ths * 0.95e6),
            "Difficulty": 262144.0,
            "Last Accepted Share Timestamp": 1755134734,
            "Rejected": 2,
            "Startup Timestamp": 1755111589,
            "Submitted": 1864,
            "Uptime": 0 if reading.asleep else reading.uptime_s,
            "WorkReceived": 641,
        },
        "Software": p.firmware,
        "Status": {
            "Last Command": miner.kept.get(LAST_COMMAND),
            "Last Command Result": "Success" if LAST_COMMAND in miner.kept else None,
            "Last Error": None,
            "Operating State": _state(miner, reading, ths),
        },
        "Stratum": {
            "Average Latency": 0.038,
            "Config Id": 0,
            "Current Pool": first.url.removeprefix("stratum+tcp://") if first else "",
            "Current User": first.user if first else "",
            "IsPoolConnected": not reading.asleep,
            "Worker Unique Id": False,
            "Worker Unique Id Variant": "IpAddress",
        },
        "StratumConfigs": [
            {"login": pool.user, "password": pool.password, "pool": pool.url} for pool in miner.settings.pools
        ],
    }


def _state(miner: SimMiner, reading: Reading, ths: float) -> str:
    if reading.asleep:
        return "Idling" if reading.power_w < miner.personality.standby_w * 2 else "Stopping"
    if miner.fleet.restart_left_s[miner.row] > 0:
        return "SoftRebooting"
    return "Mining" if ths > 0 else "Initializing"


def _board(miner: SimMiner, reading: Reading, board: int) -> Row:
    p = miner.personality
    share = reading.hash_ths * 1e6 / p.boards
    return {
        "Core Clock": [],
        "Core Clock Avg": float(p.frequency_mhz),
        "Hashrate": [round(share, 1), round(100 * reading.hash_ths / p.full_ths, 1), 0.8],
        "Index": board,
        "Input Current": 0.0,
        "Input Power": 0.0,
        "Input Voltage": 12.6,
        "Output Current": 0.0,
        "Output Power": 0.0,
        "Output Voltage": 0.0,
        "Temperature": round(reading.chip_c, 1),
    }


def _temps(miner: SimMiner) -> list[Row]:
    reading = miner.read()
    heat_c = [round(reading.chip_c - 12, 3), round(reading.chip_c, 3)]
    return [{"Data": heat_c, "Index": board, "Total": 0.0} for board in range(miner.personality.boards)]


def _chips(value: float) -> Callable[[SimMiner], list[Row]]:
    def each_chip(miner: SimMiner) -> list[Row]:
        p = miner.personality
        return [{"Data": [value] * p.chips_per_board, "Index": board, "Total": 0.0} for board in range(p.boards)]

    return each_chip


def _hashrate(miner: SimMiner) -> list[Row]:
    reading, p = miner.read(), miner.personality
    each = 0.0 if reading.asleep else reading.hash_ths * 1e6 / p.boards / p.chips_per_board
    return [
        {
            "Data": [[round(each, 2), 100.0, 4.0]] * p.chips_per_board,
            "Index": board,
            "Total": [round(each * p.chips_per_board, 1), 100.0, 4.0],
        }
        for board in range(p.boards)
    ]


READS: dict[str, Callable[[SimMiner], Any]] = {
    "summary": _summary,
    "capabilities": _capabilities,
    "network": _network,
    "temps": _temps,
    "temps/chip": _chips(0.0),
    "voltages": _chips(0.0),
    "clocks": _chips(487.5),
    "hashrate": _hashrate,
}
