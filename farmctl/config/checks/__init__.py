"""What no single table can tell: names that must meet, limits that must nest, files that must be there."""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.config.checks.circuits import circuit_faults
from farmctl.config.checks.meters import meter_faults
from farmctl.config.checks.programme import programme_faults
from farmctl.config.checks.services import service_faults
from farmctl.config.checks.signals import signal_faults
from farmctl.config.checks.site import site_faults
from farmctl.config.fault import Fault
from farmctl.config.parts import Known, Parts


def cross_faults(parts: Parts, known: Known) -> Iterator[Fault]:
    """Every fault between tables; looks at no file."""
    yield from site_faults(parts, known)
    yield from programme_faults(parts)
    yield from circuit_faults(parts)
    yield from meter_faults(parts)
    yield from signal_faults(parts)
    yield from service_faults(parts)
