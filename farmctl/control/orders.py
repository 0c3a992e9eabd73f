"""The orders that POST /v1/commands takes: one model per verb, each naming the state that is wanted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from farmctl.control.identity import Role
from farmctl.control.wire import ApiError

LARGEST_KW = 1e9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Order(_Strict):
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    """Why; it stands in the journal."""
    selector: Literal[""] = ""
    """Empty: the whole site."""
    dry_run: bool = False
    idempotency_key: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    if_rev: Annotated[int, Field(ge=0)] | None = None


class NoParams(_Strict):
    """This verb takes no parameters."""


class ResumeParams(_Strict):
    """`confirm`: the site's name, where the change is large."""

    confirm: str = ""


class OverrideParams(_Strict):
    """The wanted power of the site, and until when."""

    target_kw: Annotated[float, Field(ge=0, le=LARGEST_KW)]
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


class OverrideRelease(_Order):
    """Let an override go before its end."""

    verb: Literal["override_release"]
    params: ReleaseParams


class Maintenance(_Order):
    """Forbid or permit automatic starts."""

    verb: Literal["maintenance"]
    params: MaintenanceParams


Order = StopAll | Resume | OverrideSet | OverrideRelease | Maintenance
_READ: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="verb")])

ROLE_FOR: dict[str, Role] = {
    "stop_all": Role.OPERATOR,
    "resume": Role.OPERATOR,
    "override_set": Role.OPERATOR,
    "override_release": Role.OPERATOR,
    "maintenance": Role.OPERATOR,
}


def read_order(body: bytes) -> Order:
    """One order. Raises ApiError 400 that names the field and what was expected."""
    try:
        return _READ.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ROLE_FOR)
        where = field or "body"
        hint = "the whole site only: a selector must be empty" if field == "selector" else ""
        raise ApiError(400, f"{where}: {first['msg']}", field=field, hint=hint) from None
