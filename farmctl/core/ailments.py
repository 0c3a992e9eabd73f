"""What a miner's error codes mean, in one vocabulary for every make: the cause, and what a person should do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What ails a machine; `HELP` has the cause in words and the recommended action."""

    FAN = "fan"
    SUPPLY = "supply"
    MAINS = "mains"
    HOT = "hot"
    AMBIENT = "ambient"
    COOLANT = "coolant"
    SENSOR = "sensor"
    BOARD = "board"
    CHIPS = "chips"
    MEMORY = "memory"
    CONTROL_BOARD = "control_board"
    TUNING = "tuning"
    HASH_RATE = "hash_rate"
    POOL = "pool"
    NETWORK = "network"
    FIRMWARE = "firmware"
    INTRUSION = "intrusion"
    UNKNOWN = "unknown"


HELP: dict[Cause, tuple[str, str]] = {
    Cause.FAN: ("a fan stands, is missing or turns at the wrong speed", "clean or replace the fan, check its plug"),
    Cause.SUPPLY: ("the power supply reports a fault of its own", "restart it once; replace it where the code returns"),
    Cause.MAINS: ("the voltage or current at its input is out of range", "check the phase, the breaker and the PDU"),
    Cause.HOT: ("chips or boards are too hot, and it protects itself", "check air flow, filters, dust and heat sinks"),
    Cause.AMBIENT: ("the air around it is too hot or too humid", "cool the room, or throttle the container"),
    Cause.COOLANT: ("the coolant flows badly", "check pump, valves and flow; stop the loop if it does not recover"),
    Cause.SENSOR: ("a sensor does not answer", "reseat the board's cable; replace the board where it returns"),
    Cause.BOARD: ("a hash board is missing, of the wrong type or does not answer", "reseat cables; swap the board"),
    Cause.CHIPS: ("single chips fail", "watch the hash rate; send the board to repair when it falls"),
    Cause.MEMORY: ("a board's memory of itself cannot be read", "reseat the board; have its memory written again"),
    Cause.CONTROL_BOARD: (
        "the control board failed or restarted alone",
        "restart it; replace it where it returns",
    ),
    Cause.TUNING: ("frequencies do not settle", "give it an hour; then lower its target or restore its profile"),
    Cause.HASH_RATE: ("it makes fewer hashes than it should", "look at boards and chips, then at its target"),
    Cause.POOL: ("a pool is missing, unreachable or rejects its work", "check the pool's address, worker and route"),
    Cause.NETWORK: ("its network is unstable", "check cable, switch port and name server"),
    Cause.FIRMWARE: ("firmware and machine do not match, or a part of it failed", "write the vendor's firmware again"),
    Cause.INTRUSION: (
        "files that are not the vendor's were found",
        "isolate it, write new firmware, change passwords",
    ),
    Cause.UNKNOWN: ("a code that nobody explained yet", "look it up in the vendor's manual, and tell us"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One error code of one machine, explained."""

    code: str
    cause: Cause
    means: str
    action: str


_WHATSMINER: tuple[tuple[int, str, Cause], ...] = (
    (3, "1", Cause.FAN), (3, "2", Cause.SUPPLY), (3, "3", Cause.HOT), (3, "4", Cause.MEMORY), (3, "5", Cause.BOARD),
    (3, "6", Cause.AMBIENT), (3, "7", Cause.CONTROL_BOARD), (3, "8", Cause.FIRMWARE),
    (3, "203", Cause.AMBIENT), (3, "204", Cause.AMBIENT), (3, "206", Cause.MAINS), (3, "207", Cause.MAINS),
    (3, "213", Cause.MAINS), (3, "218", Cause.MAINS), (3, "219", Cause.MAINS), (3, "246", Cause.MAINS),
    (3, "247", Cause.MAINS), (3, "248", Cause.MAINS), (3, "249", Cause.MAINS), (3, "250", Cause.MAINS),
    (3, "251", Cause.MAINS), (3, "269", Cause.MAINS), (3, "270", Cause.MAINS), (3, "271", Cause.MAINS),
    (3, "273", Cause.MAINS), (3, "30", Cause.SENSOR), (3, "32", Cause.SENSOR), (3, "37", Cause.AMBIENT),
    (3, "38", Cause.AMBIENT), (3, "55", Cause.CHIPS), (3, "713", Cause.NETWORK),
    (4, "20", Cause.POOL), (4, "21", Cause.BOARD), (4, "23", Cause.HASH_RATE), (4, "50", Cause.CHIPS),
    (4, "507", Cause.COOLANT), (4, "505", Cause.HOT), (4, "51", Cause.TUNING), (4, "8", Cause.FIRMWARE),
    (4, "803", Cause.AMBIENT), (4, "801", Cause.HASH_RATE), (4, "802", Cause.HASH_RATE), (4, "85", Cause.HASH_RATE),
    (4, "90", Cause.FIRMWARE), (5, "5", Cause.CHIPS), (6, "5", Cause.CHIPS), (7, "5", Cause.CHIPS),
    (6, "54", Cause.HOT), (6, "1", Cause.INTRUSION),
)  # fmt: skip
"""(digits, prefix, cause); the longest prefix decides. Grouped as MicroBT's published list is: hundreds are a part."""

_WORDS: tuple[tuple[str, Cause], ...] = (
    ("antiv", Cause.INTRUSION), ("virus", Cause.INTRUSION), ("overheat", Cause.HOT), ("shutdowntemp", Cause.HOT),
    ("criticaltemp", Cause.HOT), ("temp", Cause.HOT), ("fan", Cause.FAN), ("psu", Cause.SUPPLY),
    ("pows", Cause.SUPPLY), ("pcomm", Cause.SUPPLY), ("supply", Cause.SUPPLY), ("power", Cause.SUPPLY),
    ("voltage", Cause.SUPPLY), ("eeprom", Cause.MEMORY), ("nosolution", Cause.HASH_RATE),
    ("hashrate", Cause.HASH_RATE),
    ("failed to resolve", Cause.NETWORK), ("network", Cause.NETWORK), ("dns", Cause.NETWORK), ("pool", Cause.POOL),
    ("stratum", Cause.POOL), ("tun", Cause.TUNING), ("freq", Cause.TUNING), ("sensor", Cause.SENSOR),
    ("hashs", Cause.BOARD), ("ecmm", Cause.CONTROL_BOARD), ("echu", Cause.BOARD), ("chain", Cause.BOARD),
    ("board", Cause.BOARD), ("chip", Cause.CHIPS), ("asic", Cause.CHIPS), ("coolant", Cause.COOLANT),
    ("flow", Cause.COOLANT), ("firmware", Cause.FIRMWARE), ("checksum", Cause.FIRMWARE),
)  # fmt: skip
"""(part of the text, cause), the first that is found: makes that send words instead of numbers."""


def ailment(code: str) -> Ailment:
    """Explain one code of `Reading.errors`: numbers as MicroBT uses them, words as everybody else does."""
    cause = _of_number(code) if code.isascii() and code.isdecimal() else _of_words(code.lower())
    means, action = HELP[cause]
    return Ailment(code=code, cause=cause, means=means, action=action)


def _of_number(code: str) -> Cause:
    fitting = [row for row in _WHATSMINER if row[0] == len(code) and code.startswith(row[1])]
    return max(fitting, key=lambda row: len(row[1]))[2] if fitting else Cause.UNKNOWN


def _of_words(text: str) -> Cause:
    return next((cause for word, cause in _WORDS if word in text), Cause.UNKNOWN)
