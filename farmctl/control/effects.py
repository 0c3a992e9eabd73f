"""What an order comes to: its override, the view that would follow, what it is about, its meaning as a hash."""

from __future__ import annotations

import hashlib
from typing import assert_never

from farmctl.control.orders import Order, OverrideRelease, OverrideSet, Resume, SetPower, StopAll
from farmctl.control.plan import held_at, released, stopped
from farmctl.control.scope import SITE, Scope
from farmctl.control.wire import ApiError
from farmctl.core.fleet import FleetView
from farmctl.core.model import Override
from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.ports.control import SitePicture

Steering = StopAll | Resume | OverrideSet | SetPower | OverrideRelease
"""Orders about power."""


def override_of(
    order: OverrideSet | SetPower,
    owner: str,
    override_id: str,
    now_ms: int,
    picture: SitePicture | None,
    chosen: tuple[str, ...],
) -> Override:
    """The override that an order sets; `chosen` are the miners that it selects."""
    ramp = order.params.ramp_kw_per_min if isinstance(order, OverrideSet) else None
    return Override(
        override_id=override_id,
        owner=owner,
        reason=order.reason,
        set_at_ms=now_ms,
        expires_ms=int(order.params.expires_at.timestamp() * MS_PER_S),
        target_w=_target_w(order),
        selector=order.params.circuit if isinstance(order, OverrideSet) else "",
        miners=chosen,
        ramp_w_per_s=None if ramp is None else ramp * WATTS_PER_KW / 60.0,
        from_w=None if picture is None else picture.decision.site.power_w,
    )


def view_after(order: Steering, picture: SitePicture, scope: Scope) -> FleetView:
    """The view in which an order about power is in force."""
    match order:
        case StopAll():
            return stopped(picture, on=True)
        case Resume():
            return stopped(picture, on=False)
        case OverrideSet() | SetPower():
            return held_at(picture, _target_w(order), scope)
        case OverrideRelease():
            return released(picture, order.params.id)
        case _:
            assert_never(order)


def scope_of(order: Order, picture: SitePicture, chosen: tuple[str, ...] = ()) -> Scope:
    """What an order is about. Raises ApiError 404 for an unknown circuit."""
    match order:
        case SetPower():
            return Scope(miners=chosen)
        case OverrideSet():
            circuit = order.params.circuit
            if circuit and circuit not in picture.view.circuits.names:
                raise ApiError(404, f"circuit {circuit!r}: the site has no such circuit", field="params.circuit")
            return Scope(circuit=circuit)
        case OverrideRelease():
            live = (Scope.of(o) for o in picture.view.overrides if o.override_id == order.params.id)
            return next(live, SITE)
        case _:
            return SITE


def _target_w(order: OverrideSet | SetPower) -> float:
    """Of the site or a circuit in all, of miners for each."""
    return order.params.power_w if isinstance(order, SetPower) else order.params.target_kw * WATTS_PER_KW


def meaning(order: Order) -> str:
    """Hash of what an order says; its spelling does not matter."""
    return hashlib.sha256(order.model_dump_json().encode()).hexdigest()
