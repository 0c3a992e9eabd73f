"""Small orders read from a body, and refusals of the desks turned into answers; every one of them is audited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from farmctl.control.identity import Caller, Role
from farmctl.control.wire import ApiError
from farmctl.core.alarms import NoSuchAlarmError
from farmctl.errors import RefusedError, StoreError
from farmctl.ports.control import By, Orders

DESK_DEADLINE_S = 10.0
"""The desk answers when the journal is on disk: milliseconds, unless the disk hangs."""
Told = TypeVar("Told", bound=BaseModel)
Done = TypeVar("Done")


class Asked(BaseModel):
    """What every small order says."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    """Why; it stands in the journal."""


class Noted(BaseModel):
    """An order whose reason may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Annotated[str, Field(max_length=500)] = ""


def read(model: type[Told], body: bytes) -> Told:
    """One order of a body; an empty body is an empty object. Raises ApiError 400."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ApiError(400, fault_told(field, first["type"], first["msg"]), field=field) from None


def fault_told(field: str, kind: str, message: str) -> str:
    """What is wrong with a field of a body, in words that a person at the CLI can use."""
    if field == "reason" and kind in {"missing", "string_too_short", "string_pattern_mismatch"}:
        return "reason: expected why, in a few words; it stands in the journal"
    return f"{field or 'body'}: {message.replace('Input should be', 'expected', 1)}"


async def ordered(orders: Orders, verb: str, caller: Caller, by: By, do: Callable[[], Awaitable[Done]]) -> Done:
    """Do what an operator asks. Raises ApiError 403, 404, 409, 507; a refusal is noted in the journal."""
    try:
        caller.must_be(Role.OPERATOR, verb)
        return await _done(verb, do)
    except ApiError as error:
        await orders.audit(verb, by, f"{error.status} {error}")
        raise


async def _done(verb: str, do: Callable[[], Awaitable[Done]]) -> Done:
    try:
        async with asyncio.timeout(DESK_DEADLINE_S):
            return await do()
    except NoSuchAlarmError as error:
        raise ApiError(404, str(error), field="id") from error
    except RefusedError as error:
        raise ApiError(409, str(error)) from error
    except StoreError as error:
        raise ApiError(507, str(error)) from error
    except TimeoutError:
        message = f"{verb}: the journal did not answer within {DESK_DEADLINE_S:.0f} s"
        raise ApiError(507, message) from None
