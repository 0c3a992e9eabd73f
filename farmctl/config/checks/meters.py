"""Meters: one of them for the site, each with the power and with bounds that are bounds."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.checks.names import repeated
from farmctl.config.explain import shown
from farmctl.config.fault import Fault
from farmctl.config.parts import Parts
from farmctl.config.schema.circuits import UNITS


def meter_faults(parts: Parts) -> Iterator[Fault]:
    """Faults between meters and inside their register maps."""
    fault = parts.document.fault
    yield from repeated(parts, ("meter",), parts.names("meter"))
    of_site = [(number, meter) for number, meter in parts.meters.items() if meter.site]
    for number, _ in of_site[1:]:
        yield fault(("meter", number, "site"), f'expected one site meter, "{of_site[0][1].name}" is it already')
    for number, meter in parts.meters.items():
        path = ("meter", number, "registers")
        if not any(register.name == "kw" for register in meter.registers):
            yield fault(path, f'expected a register named kw in meter "{meter.name}"')
        yield from repeated(parts, path, ((n, register.name) for n, register in enumerate(meter.registers)))
        for place, register in enumerate(meter.registers):
            if register.unit_in_force not in UNITS[register.name]:
                text = f"expected one of {', '.join(UNITS[register.name])}, got {shown(register.unit)}"
                yield fault((*path, place, "unit"), text)
            if register.scale == 0:
                yield fault((*path, place, "scale"), "expected a number that is not 0")
            if register.min is not None and register.max is not None and register.min >= register.max:
                text = f"expected more than min = {register.min:g}, got {register.max:g}"
                yield fault((*path, place, "max"), text)
