"""Ladder profiles: which operating points a model has under a firmware, from shipped or own TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from math import nan

from pydantic import ValidationError

from farmctl.core.model import Ladder, OperatingPoint, PointKind
from farmctl.inventory.fault import Fault, InventoryFaultsError
from farmctl.inventory.profile_tables import Controls, FirmwareTable, ModelTable, ProfileFile

HS_PER_THS = 1e12
ANY_DRIVER = "*"
MOST_SHARE = 1.2
"""An overclocked machine may exceed its nameplate; more is another machine."""
_WILD = frozenset("*?[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All profile files, earlier ones first: a site's own files go before the shipped ones."""

    files: tuple[ProfileFile, ...]


def read_profiles(files: Iterable[tuple[str, str]]) -> Profiles:
    """Read (name, text) pairs; raises InventoryFaultsError with every fault of every file."""
    faults: list[Fault] = []
    read: list[ProfileFile] = []
    for name, text in files:
        try:
            read.append(ProfileFile.model_validate(tomllib.loads(text)))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                key = ".".join(str(part) for part in detail["loc"])
                faults.append(Fault(file=name, line=0, key=key, expected=detail["msg"]))
        except (ValueError, RecursionError) as error:
            faults.append(Fault(file=name, line=0, key="", expected=f"not TOML: {error}"))
    drivers = {file.driver for file in read}
    faults.extend(
        Fault(file=f"profile of {file.driver}", line=0, key="models_of", expected=f"no profile of {file.models_of}")
        for file in read
        if file.models_of is not None and file.models_of not in drivers and not faults
    )
    if faults:
        raise InventoryFaultsError(faults)
    return Profiles(files=tuple(read))


def ladder_for(driver: str, model: str, firmware: str, profiles: Profiles) -> Ladder | None:
    """The ladder of a machine: its most specific model and firmware of its driver; None where nothing fits.

    A driver without a file of its own gets the file of any driver. Watts are nominal: a miner's own scale is learned.
    """
    own = [file for file in profiles.files if file.driver == driver]
    for file in own or [file for file in profiles.files if file.driver == ANY_DRIVER]:
        machine = _most_specific([m for m in _models(file, profiles) if _fits(model, m.match)], model)
        rules = [f for f in file.firmware if _fits(model, f.model) and _fits(firmware, f.match)]
        rule = max(rules, key=lambda rule: (_literal(rule.model), _literal(rule.match)), default=None)
        if machine is not None and rule is not None:
            return make_ladder(f"{driver} {machine.match} {rule.match}", machine, rule)
    return None


def limit_for(driver: str, model: str, profiles: Profiles) -> float:
    """Heat at which a machine protects itself, °C: its own model's, else its firmware's; NaN: none is stated."""
    own = [file for file in profiles.files if file.driver == driver]
    for file in own or [file for file in profiles.files if file.driver == ANY_DRIVER]:
        machine = _most_specific([m for m in file.model if m.limit_c is not None and _fits(model, m.match)], model)
        limit_c = file.limit_c if machine is None else machine.limit_c
        if limit_c is not None:
            return limit_c
    return nan


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEstimate:
    """Draw of a machine that measures none, from its ladder and its hash rate."""

    power_w: float
    pm_w: float
    """What it may be off by, either way; NaN where the profile does not say."""


def estimate_power(
    driver: str, model: str, firmware: str, hash_rate_hs: float, profiles: Profiles
) -> PowerEstimate | None:
    """Scale the ladder of a machine by its hash rate, H/s; None without a ladder or a rate."""
    ladder = ladder_for(driver, model, firmware, profiles)
    if ladder is None or not hash_rate_hs >= 0:
        return None
    asleep, full = ladder.points[0], ladder.points[-1]
    power_w = asleep.power_w + (full.power_w - asleep.power_w) * min(hash_rate_hs / full.hash_rate_hs, MOST_SHARE)
    spread = next((file.watts_pm_pct for file in profiles.files if file.driver == driver), None)
    return PowerEstimate(power_w=power_w, pm_w=nan if spread is None else power_w * spread / 100)


def make_ladder(name: str, machine: ModelTable, rule: FirmwareTable) -> Ladder:
    """Operating points of one model under one firmware, lowest power first; the first sleeps, the last is full."""
    sleep = OperatingPoint(kind=PointKind.SLEEP, power_w=rule.sleep_w, hash_rate_hs=0.0, setting="sleep")
    full_hs = machine.full_ths * HS_PER_THS
    full = OperatingPoint(kind=PointKind.FULL, power_w=machine.full_w, hash_rate_hs=full_hs, setting="full")
    between = sorted(
        (
            OperatingPoint(
                kind=PointKind.THROTTLE,
                power_w=power_share * machine.full_w,
                hash_rate_hs=power_share**rule.hash_exponent * full_hs,
                setting=setting.format(watts=round(power_share * machine.full_w)),
            )
            for setting, power_share in _throttles(rule.controls, rule.hash_exponent)
            if rule.sleep_w < power_share * machine.full_w < machine.full_w
        ),
        key=lambda point: point.power_w,
    )
    rising = [point for lower, point in pairwise((sleep, *between)) if point.power_w > lower.power_w]
    points = (sleep, *rising, full)
    return Ladder(name=name, points=points, down_s=rule.down_s, up_s=rule.up_s, trim_s=rule.trim_s)


def _models(file: ProfileFile, profiles: Profiles) -> Sequence[ModelTable]:
    """A file's own machines, before those of the file it borrows from."""
    borrowed = [other.model for other in profiles.files if file.models_of and other.driver == file.models_of]
    return [*file.model, *(model for models in borrowed for model in models)]


def _most_specific(models: Sequence[ModelTable], model: str) -> ModelTable | None:
    """The model with the most literal characters in its glob; of equals, an exact one, then the first."""
    return max(models, key=lambda m: (_literal(m.match), m.match.casefold() == model.casefold()), default=None)


def _throttles(controls: Controls, exponent: float) -> list[tuple[str, float]]:
    """(setting, share of full watts) of every point between sleep and full."""
    found = [(f"mode:{name}", share) for name, share in controls.modes.items()]
    if controls.percent is not None:
        for percent in controls.percent.numbers():
            share = percent / 100
            power_share = share if controls.percent.of == "power" else share ** (1 / exponent)
            found.append((f"percent:{percent}", power_share))
    if controls.watts is not None:
        found.extend(("watts:{watts}", percent / 100) for percent in controls.watts.numbers())
    return found


def _fits(text: str, glob: str) -> bool:
    return fnmatchcase(text.casefold(), glob.casefold())


def _literal(glob: str) -> int:
    return sum(character not in _WILD for character in glob)
