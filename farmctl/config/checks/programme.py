"""[programme] against the rest of the file: no meter of its own, floors that fit, sites that can be believed."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.checks.signals import is_loopback, key_faults
from farmctl.config.fault import Fault
from farmctl.config.parts import Parts
from farmctl.config.schema import ProgrammeTable


def programme_faults(parts: Parts) -> Iterator[Fault]:
    """Faults of headquarters; nothing for a site with miners of its own."""
    programme, fault = parts.programme, parts.document.fault
    if programme is None:
        return
    for number, meter in parts.meters.items():
        if meter.site:
            yield fault(("meter", number, "site"), "expected no site meter beside [programme]: the sites are metered")
    for number, unit in enumerate(programme.site):
        for key, level in (("floor_kw", unit.floor_kw), ("firm_kw", unit.firm_kw)):
            if level is not None and level > unit.rated_kw:
                text = f"expected at most rated_kw = {unit.rated_kw:g}, got {level:g}"
                yield fault(("programme", "site", number, key), text)
    yield from _trust(parts, programme)


def _trust(parts: Parts, programme: ProgrammeTable) -> Iterator[Fault]:
    """A site proves by its signature what it says; without one its broker must not leave this machine."""
    fault, owners = parts.document.fault, dict[str, str]()
    for number, unit in enumerate(programme.site):
        keys = ("programme", "site", number, "keys")
        if not unit.keys and not is_loopback(unit.broker):
            text = (
                "missing; expected [[programme.site.keys]] with the public half of the site's signing_key_file "
                f'(there: farmctl keys list): who can publish at "{unit.broker}" could say for {unit.name} that it '
                "has shed. Only a broker on loopback may do without"
            )
            yield fault(keys, text)
        yield from key_faults(parts, keys, unit.keys)
        for place, key in enumerate(unit.keys):
            owner = owners.setdefault(key.public_key, unit.name)
            if owner != unit.name:
                text = f"expected a key of its own, got that of {owner}: each could speak for the other"
                yield fault((*keys, place, "public_key"), text)
