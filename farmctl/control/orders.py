"""The orders that POST /v1/commands takes: one model per verb, each naming the state that is wanted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from farmctl.control.asked import fault_told
from farmctl.control.identity import Role
from farmctl.control.wire import ApiError
from farmctl.core.grid import OptReason

LARGEST_KW = 1e9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Order(_Strict):
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    """Why; it stands in the journal."""
    selector: Annotated[str, Field(max_length=2_000)] = ""
    """Which miners, as a filter; empty: the whole site. Only some verbs take one."""
    dry_run: bool = False
    idempotency_key: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    if_rev: Annotated[int, Field(ge=0)] | None = None


class NoParams(_Strict):
    """This verb takes no parameters."""


class ResumeParams(_Strict):
    """`confirm`: the site's name, where the change is large."""

    confirm: str = ""


class OverrideParams(_Strict):
    """The wanted power of the site or of one circuit, and until when."""

    target_kw: Annotated[float, Field(ge=0, le=LARGEST_KW)]
    expires_at: Annotated[AwareDatetime, Field(strict=False)]
    ramp_kw_per_min: Annotated[float, Field(gt=0, le=LARGEST_KW)] | None = None
    """How fast the site goes down to it; left out: as fast as the machines can. A circuit takes none."""
    circuit: Annotated[str, Field(max_length=64)] = ""
    """Which node of the limit tree, such as a container; empty: the whole site."""
    confirm: str = ""
    """The site's name, where the change is large."""


class PowerParams(_Strict):
    """The most that each of the miners may draw, and until when; below its lowest point a miner sleeps."""

    power_w: Annotated[float, Field(ge=0, le=1e6)]
    expires_at: Annotated[AwareDatetime, Field(strict=False)]
    confirm: str = ""
    """The site's name, where the change is large."""


class ReleaseParams(_Strict):
    """Which override."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    confirm: str = ""
    """The site's name, where the change is large."""


class MaintenanceParams(_Strict):
    """True forbids automatic starts."""

    on: bool
    containers: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=1_000)] = []
    """Which containers; none: the whole site."""


class ConfirmParams(_Strict):
    """`confirm`: the site's name."""

    confirm: str = ""


class OptOutParams(_Strict):
    """Which event, and why in a word that the grid knows."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    why: Annotated[OptReason, Field(strict=False)]
    confirm: str = ""
    """The site's name: without the order the site may rise."""


class LightParams(_Strict):
    """True blinks the miner's light."""

    on: bool


class StopAll(_Order):
    """Put every miner to sleep."""

    verb: Literal["stop_all"]
    params: NoParams = NoParams()


class Resume(_Order):
    """Permit the site to run again."""

    verb: Literal["resume"]
    params: ResumeParams = ResumeParams()


class OverrideSet(_Order):
    """Hold the site at a power."""

    verb: Literal["override_set"]
    params: OverrideParams


class SetPower(_Order):
    """Hold each of some miners at a power: an override of its own, with its owner and its end."""

    verb: Literal["set_power"]
    params: PowerParams


class OverrideRelease(_Order):
    """Let an override go before its end."""

    verb: Literal["override_release"]
    params: ReleaseParams


class Maintenance(_Order):
    """Forbid or permit automatic starts."""

    verb: Literal["maintenance"]
    params: MaintenanceParams


class EmergencyRelease(_Order):
    """Clear every latched EMERGENCY, on the dispatcher's word."""

    verb: Literal["emergency_release"]
    params: ConfirmParams = ConfirmParams()


class EventOptOut(_Order):
    """Take no part in an order about load; the grid is told OPTED_OUT. A limit and an EMERGENCY cannot be declined."""

    verb: Literal["event_opt_out"]
    params: OptOutParams


class Reboot(_Order):
    """Restart the control boards of some miners."""

    verb: Literal["reboot"]
    params: ConfirmParams = ConfirmParams()


class Locate(_Order):
    """Blink the lights of some miners, or stop it."""

    verb: Literal["locate"]
    params: LightParams


Order = (
    StopAll
    | Resume
    | OverrideSet
    | SetPower
    | OverrideRelease
    | Maintenance
    | EmergencyRelease
    | EventOptOut
    | Reboot
    | Locate
)
ORDER_MODEL: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="verb")])

ROLE_FOR: dict[str, Role] = {
    "stop_all": Role.OPERATOR,
    "resume": Role.OPERATOR,
    "override_set": Role.OPERATOR,
    "set_power": Role.OPERATOR,
    "override_release": Role.OPERATOR,
    "maintenance": Role.OPERATOR,
    "locate": Role.OPERATOR,
    "event_opt_out": Role.OPERATOR,
    "reboot": Role.ENGINEER,
    "emergency_release": Role.ENGINEER,
}
SELECTING = frozenset({"locate", "reboot", "set_power"})
"""Verbs that are about some miners; every other one is about the whole site."""


def read_order(body: bytes) -> Order:
    """One order. Raises ApiError 400 that names the field and what was expected."""
    try:
        order = ORDER_MODEL.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ROLE_FOR)
        raise ApiError(400, fault_told(field, first["type"], first["msg"]), field=field) from None
    if order.verb in SELECTING and not order.selector.strip():
        raise ApiError(400, f"selector: {order.verb} is about some miners; expected a filter", field="selector")
    if order.verb not in SELECTING and order.selector:
        hint = "the whole site only: a selector must be empty"
        raise ApiError(400, f"selector: {order.verb} is about the whole site", field="selector", hint=hint)
    return order
