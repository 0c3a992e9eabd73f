"""The messages of package braiins.bos.v1 that are read, by field number, named as the REST API names them."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.braiins.protobuf import Field, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One unary method whose request is empty, or made by the caller."""

    method: str
    reply: Schema


def _text(name: str) -> Field:
    return Field(name=name, kind="text")


def _int(name: str) -> Field:
    return Field(name=name, kind="int")


def _bool(name: str) -> Field:
    return Field(name=name, kind="bool", default=False)


def _one(name: str, schema: Schema) -> Field:
    return Field(name=name, kind=schema)


def _many(name: str, schema: Schema) -> Field:
    return Field(name=name, kind=schema, repeated=True)


EMPTY: Schema = {}
_WATT: Schema = {1: Field(name="watt", kind="int", default=0)}
_GIGAHASH: Schema = {1: Field(name="gigahash_per_second", kind="double", default=0.0)}
_DEGREES: Schema = {1: Field(name="degree_c", kind="double")}
_SENSOR: Schema = {1: _int("id"), 2: _int("location"), 3: _one("temperature", _DEGREES)}
_RATES: Schema = {
    1: _one("last_5s", _GIGAHASH),
    2: _one("last_15s", _GIGAHASH),
    3: _one("last_30s", _GIGAHASH),
    4: _one("last_1m", _GIGAHASH),
}
_WORK: Schema = {1: _one("real_hashrate", _RATES), 2: _one("nominal_hashrate", _GIGAHASH)}
_PROFILE: Schema = {
    2: _one("target", _WATT),
    3: _one("measured_hashrate", _GIGAHASH),
    4: _one("estimated_power_consumption", _WATT),
}
_DETAILS: Schema = {
    2: _one("miner_identity", {3: _text("name"), 4: _text("miner_model")}),
    5: _one("bos_version", {1: _text("current"), 2: _text("major")}),
    6: _text("hostname"),
    7: _text("mac_address"),
    8: _int("system_uptime"),
    9: _one("sticker_hashrate", _GIGAHASH),
    10: _int("bosminer_uptime_s"),
    11: _int("system_uptime_s"),
    12: _int("status"),
    16: _text("serial_number"),
}
_STATS: Schema = {
    2: _one("miner_stats", _WORK),
    3: _one("power_stats", {1: _one("approximated_consumption", _WATT)}),
}
_COOLING: Schema = {1: _many("fans", {1: _int("position"), 2: _int("rpm")}), 2: _one("highest_temperature", _SENSOR)}
_BOARD: Schema = {
    1: _text("id"),
    2: _bool("enabled"),
    6: _one("highest_chip_temp", _SENSOR),
    7: _one("board_temp", _DEGREES),
}
_TUNER: Schema = {
    1: _int("overall_tuner_state"),
    2: _one("powertargetmodestate", {1: _one("profile", _PROFILE), 2: _one("current_target", _WATT)}),
}
_CONSTRAINTS: Schema = {
    1: _one(
        "tuner_constraints",
        {1: _one("power_target", {1: _one("default", _WATT), 2: _one("min", _WATT), 3: _one("max", _WATT)})},
    )
}
_POOL: Schema = {2: _text("url"), 3: _text("user"), 4: _bool("enabled"), 5: _bool("alive"), 6: _bool("active")}
_POOLS: Schema = {1: _many("pool_groups", {1: _text("name"), 4: _many("pools", _POOL)})}

CALLS = {
    "miner/details": Call(method="MinerService/GetMinerDetails", reply=_DETAILS),
    "miner/stats": Call(method="MinerService/GetMinerStats", reply=_STATS),
    "miner/hw/hashboards": Call(method="MinerService/GetHashboards", reply={1: _many("hashboards", _BOARD)}),
    "cooling/state": Call(method="CoolingService/GetCoolingState", reply=_COOLING),
    "performance/tuner-state": Call(method="PerformanceService/GetTunerState", reply=_TUNER),
    "performance/target-profiles": Call(
        method="PerformanceService/ListTargetProfiles", reply={1: _many("power_target_profiles", _PROFILE)}
    ),
    "configuration/constraints": Call(method="ConfigurationService/GetConstraints", reply=_CONSTRAINTS),
    "configuration/miner": Call(
        method="PerformanceService/GetActivePerformanceMode",
        reply={2: _one("tuner_mode", {1: _one("power_target", {1: _one("power_target", _WATT)})})},
    ),
    "pools": Call(method="PoolService/GetPoolGroups", reply=_POOLS),
}
"""The REST pages that gRPC has too."""
