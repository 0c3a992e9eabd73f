"""What a Whatsminer of API v3 says, field by field, and how its writes are signed; no sockets, no decisions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import nan
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers._wire.fields import degrees, first_number, flag, hashes, mac, number, rpm, seconds, text, watts, whole
from farmctl.ports.devices import Pool, PoolLogin

STATUS = orjson.dumps({"cmd": "get.miner.status", "param": "summary+pools+edevs"})
"""Everything a poll and the facts need in one answer. Idle firmware fails `pools` alone, but not the joined views."""
SUMMARY = orjson.dumps({"cmd": "get.miner.status", "param": "summary"})
POOLS = orjson.dumps({"cmd": "get.miner.status", "param": "pools"})
"""The same one by one, for firmware that does not join them."""
INFO = orjson.dumps({"cmd": "get.device.info"})
SALT = orjson.dumps({"cmd": "get.device.info", "param": "salt"})

HASHES_PER_TERAHASH = 1e12
OK, FAIL, INVALID_COMMAND, INVALID_ITEM, NO_PERMISSION = 0, -1, -2, -3, -4
"""Codes of the vendor's manual; -100 stands for an answer without one."""
NO_CODE = -100

_HASH_FIELDS = ("hash-realtime", "hash-1min", "hash-15min", "hash-average")
_POWER_FIELDS = ("power-realtime", "power-5min")
SEALED = frozenset({"set.miner.pools", "set.user.change_passwd"})
"""Writes whose parameter is sealed besides (the vendor's sample; MiningOS's worker)."""
MOST_POOLS = 3
AES_BLOCK = 16
_TOKEN_LENGTH = 8


@dataclass(slots=True)
class Summary:
    """get.miner.status: W, H/s, °C, s; NaN is unknown. Not frozen: each poll makes one."""

    power_w: float
    hash_rate_hs: float
    chip_temperature_c: float
    boards_c: tuple[float, ...]
    uptime_s: float
    """Age of the mining process."""
    power_limit_w: float
    is_stable: bool | None
    """Whether the frequencies have finished rising."""
    fans_rpm: tuple[float, ...]


NO_SUMMARY = Summary(nan, nan, nan, (), nan, nan, None, ())
"""What is known of a miner that serves no summary: its mining process is down."""
PROCESS_DOWN = "process is down"
"""Said with other codes too: "btminer process is down err"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """get.device.info."""

    model: str
    serial: str
    mac: str
    api: str
    firmware: str
    salt: str
    is_working: bool | None
    """Whether the mining process runs."""
    percent: int | None
    """1 to 99 where a percentage is in force; None: the device does not tell of one."""
    boards: int | None
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Code and words of an answer."""

    code: int
    words: str


def parse_status(reply: Mapping[str, Any]) -> Summary | None:
    """Read a summary; None where the answer holds none."""
    msg = reply.get("msg")
    if type(msg) is not dict:
        return None
    fields = msg.get("summary")
    if type(fields) is not dict or not fields:
        return None
    rate = first_number(fields, *_HASH_FIELDS)
    boards = fields.get("board-temperature")
    finished = number(fields.get("up-freq-finish"))
    heat_c = degrees(fields.get("chip-temp-max"))
    return Summary(
        watts(first_number(fields, *_POWER_FIELDS)),
        hashes(rate, HASHES_PER_TERAHASH),
        heat_c if heat_c > 0 else _hottest(msg),
        tuple([degrees(each) for each in boards]) if type(boards) is list else (),
        seconds(first_number(fields, "elapsed", "bootup-time")),
        watts(fields.get("power-limit")),
        None if finished != finished else finished > 0,  # noqa: PLR0124 - NaN is unequal to itself
        tuple([rpm(fields[name]) for name in ("fan-speed-in", "fan-speed-out") if name in fields]),
    )


def joined(*replies: Mapping[str, Any]) -> dict[str, Any]:
    """Several answers as if they had been asked for together."""
    return {"msg": {name: value for reply in replies for name, value in _section(reply, "msg").items()}}


def parse_info(reply: Mapping[str, Any]) -> Info | None:
    """Read get.device.info; None where no Whatsminer of API 3 answers."""
    msg = reply.get("msg")
    if not isinstance(msg, dict) or not isinstance(msg.get("miner"), dict):
        return None
    miner, network, system = msg["miner"], _section(msg, "network"), _section(msg, "system")
    count = number(miner.get("board-num"))
    return Info(
        model=text(miner.get("type")),
        serial=text(miner.get("miner-sn")),
        mac=mac(network.get("mac")),
        api=text(system.get("api")),
        firmware=text(system.get("fwversion")),
        salt=text(msg.get("salt")),
        is_working=flag(miner.get("working")),
        percent=_percent(number(miner.get("hash-percent"))),
        boards=whole(count) if count > 0 else None,
        errors=_errors(msg.get("error-code")),
    )


def parse_salt(reply: Mapping[str, Any]) -> str:
    """Salt of the device; empty where it was not told."""
    msg = reply.get("msg")
    return text(msg.get("salt")) if isinstance(msg, dict) else ""


def parse_pools(reply: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Read the pools that have an address; idle firmware leaves them out."""
    msg = reply.get("msg")
    found = msg.get("pools") if isinstance(msg, dict) else None
    return tuple(
        Pool(
            url=text(row.get("url")),
            user=text(row.get("account")),
            alive=row["status"] == "alive" if "status" in row else None,
        )
        for row in (found if isinstance(found, list) else [])
        if isinstance(row, dict) and row.get("url")
    )


def parse_nominal_hs(reply: Mapping[str, Any]) -> float:
    """Hash rate that the factory measured, H/s; -0.001 a board is firmware for unknown (M63S, 2024)."""
    msg = reply.get("msg")
    fields = _section(msg, "summary") if isinstance(msg, dict) else {}
    rate = number(fields.get("factory-hash"))
    return hashes(rate, HASHES_PER_TERAHASH) if rate > 0 else nan


def parse_verdict(reply: Mapping[str, Any]) -> Verdict:
    """Read how the device took a request."""
    code = whole(number(reply.get("code")))
    return Verdict(code=NO_CODE if code is None else code, words=text(reply.get("msg")))


def signed(command: str, param: object, *, account: str, password: str, salt: str, now_s: int) -> bytes:
    """Encode a write: base64 of sha256 over command, password, salt and time, its first eight characters."""
    proof = sha256(f"{command}{password}{salt}{now_s}".encode()).digest()
    body: dict[str, object] = {"cmd": command, "ts": now_s, "account": account}
    body["token"] = base64.b64encode(proof).decode()[:_TOKEN_LENGTH]
    if param is not None:
        body["param"] = _sealed(param, proof) if command in SEALED else param
    return orjson.dumps(body)


def pool_rows(pools: Sequence[PoolLogin]) -> list[dict[str, str]]:
    """The parameter of set.miner.pools: always three, those that are not wanted empty."""
    rows = [{"pool": pool.url, "worker": pool.user, "passwd": pool.password} for pool in pools]
    return [*rows, *({"pool": "", "worker": "", "passwd": ""} for _ in range(MOST_POOLS - len(rows)))]


def _sealed(param: object, key: bytes) -> str:
    """AES-256-ECB under the proof of the token, PKCS#7, base64; the vendor's sample seals the JSON of a JSON text."""
    text_ = orjson.dumps(orjson.dumps(param).decode())
    pad = AES_BLOCK - len(text_) % AES_BLOCK
    sealing = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - the device's protocol
    return base64.b64encode(sealing.update(text_ + bytes([pad]) * pad) + sealing.finalize()).decode()


def _section(msg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = msg.get(name)
    return found if isinstance(found, dict) else {}


def _hottest(msg: Mapping[str, Any]) -> float:
    """Hottest chip of the boards, for firmware whose summary lacks it; NaN where the chips are off (0)."""
    boards = msg.get("edevs")
    found = [degrees(row.get("chip-temp-max")) for row in boards if type(row) is dict] if type(boards) is list else []
    return max((heat for heat in found if heat > 0), default=nan)


def _percent(value: float) -> int | None:
    # "0" and "" are what a miner reports that runs unthrottled (M60S, 20251209).
    return int(value) if 0 < value < 100 else None  # noqa: PLR2004 - a percentage


def _errors(rows: object) -> tuple[str, ...]:
    """Codes in `[{"531": "<when>", "reason": "..."}]`; bare numbers are taken as well."""
    found: list[str] = []
    for row in rows if isinstance(rows, list) else []:
        keys = list(row) if isinstance(row, dict) else [text(row)]
        found += [key for key in keys if key.isdecimal()]
    return tuple(found)
