"""What an order is about: the view that would follow, the circuit that it means, its meaning as a hash."""

from __future__ import annotations

import hashlib
from typing import assert_never

from farmctl.control.orders import Order, OverrideRelease, OverrideSet, Resume, StopAll
from farmctl.control.plan import held_at, released, stopped
from farmctl.control.wire import ApiError
from farmctl.core.fleet import FleetView
from farmctl.core.model import Override
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.ports.control import SitePicture


def override_of(order: OverrideSet, owner: str, override_id: str, now_ms: int, picture: SitePicture | None) -> Override:
    """The override that an order sets."""
    ramp = order.params.ramp_kw_per_min
    return Override(
        override_id=override_id,
        owner=owner,
        reason=order.reason,
        set_at_ms=now_ms,
        expires_ms=int(order.params.expires_at.timestamp() * MS_PER_S),
        target_w=order.params.target_kw * WATTS_PER_KW,
        selector=order.params.circuit,
        ramp_w_per_s=None if ramp is None else ramp * WATTS_PER_KW / 60.0,
        from_w=None if picture is None else picture.decision.site.power_w,
    )


def view_after(order: StopAll | Resume | OverrideSet | OverrideRelease, picture: SitePicture) -> FleetView:
    """The view in which an order about power is in force."""
    match order:
        case StopAll():
            return stopped(picture, on=True)
        case Resume():
            return stopped(picture, on=False)
        case OverrideSet():
            return held_at(picture, order.params.target_kw * WATTS_PER_KW, order.params.circuit)
        case OverrideRelease():
            return released(picture, order.params.id)
        case _:
            assert_never(order)


def circuit_of(order: Order, picture: SitePicture) -> str:
    """The circuit that an order is about; empty: the whole site. Raises ApiError 404 for an unknown one."""
    circuit = ""
    match order:
        case OverrideSet():
            circuit = order.params.circuit
            if circuit and circuit not in picture.view.circuits.names:
                raise ApiError(404, f"circuit {circuit!r}: the site has no such circuit", field="params.circuit")
        case OverrideRelease():
            circuit = next((o.selector for o in picture.view.overrides if o.override_id == order.params.id), "")
        case _:
            pass
    return circuit


def meaning(order: Order) -> str:
    """Hash of what an order says; its spelling does not matter."""
    return hashlib.sha256(order.model_dump_json().encode()).hexdigest()
