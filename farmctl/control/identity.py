"""Who is on the other end: the kernel's word on the Unix socket, a token over TCP; and what that person may do."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from aiohttp import web

from farmctl.control.tokens import TokenBook, TokenFileError
from farmctl.control.wire import ApiError
from farmctl.ports.control import By

_UCRED = struct.Struct("3i")
"""pid, uid, gid of SO_PEERCRED: unix(7)."""


class Role(IntEnum):
    """What a caller may do; each may do what those below it may."""

    NOBODY = -1
    VIEWER = 0
    OPERATOR = 1
    ENGINEER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One identified caller."""

    uid: int
    name: str
    role: Role

    def must_be(self, role: Role, verb: str) -> None:
        """Raises ApiError 403 for a lesser role."""
        if self.role < role:
            needed, have = role.name.lower(), self.role.name.lower()
            hint = f"add {self.name} to [api] {needed}s in the configuration"
            if self.uid < -1:
                hint = f"a token of the role {needed} is needed: farmctl token make"
            raise ApiError(403, f"{verb}: expected the role {needed}; {self.name} is a {have}", hint=hint)

    def by(self, reason: str, *, key: str = "", origin: str = "") -> By:
        """This caller as the journal names whoever orders something."""
        role = self.role.name.lower()
        return By(owner=self.name, reason=reason, uid=self.uid, role=role, key=key, origin=origin)


Identify = Callable[[int], Caller]
"""uid -> caller; may block on a name service, so it is called off the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleTable:
    """Roles by user or @group, from [api] of the configuration."""

    engineers: frozenset[str]
    operators: frozenset[str]
    viewers: frozenset[str]
    strangers: Role
    """Of everybody who is in no list."""
    daemon_uid: int

    @classmethod
    def of(
        cls,
        operators: Iterable[str],
        engineers: Iterable[str],
        viewers: Iterable[str] = (),
        strangers: Role = Role.NOBODY,
    ) -> RoleTable:
        """The configuration's lists; root and the user who runs the daemon are engineers anyway."""
        return cls(
            engineers=frozenset(engineers),
            operators=frozenset(operators),
            viewers=frozenset(viewers),
            strangers=strangers,
            daemon_uid=os.geteuid(),
        )

    def __call__(self, uid: int) -> Caller:
        """Identify one uid."""
        name, accounts = _accounts_of(uid)
        if uid in (0, self.daemon_uid) or accounts & self.engineers:
            role = Role.ENGINEER
        elif accounts & self.operators:
            role = Role.OPERATOR
        else:
            role = Role.VIEWER if accounts & self.viewers else self.strangers
        return Caller(uid=uid, name=name, role=role)


async def caller_of(request: web.Request, identify: Identify, tokens: TokenBook | None, now_ms: int) -> Caller:
    """Who sent a request: the kernel's word for it, or the token's, never the client's.

    Raises ApiError: 401 without credentials, 403 for somebody who may not even look.
    """
    transport = request.transport
    link = transport.get_extra_info("socket") if transport is not None else None
    if link is not None and link.family == socket.AF_UNIX:
        raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
        caller = await asyncio.to_thread(identify, uid)
    else:
        caller = bearer(request, tokens, now_ms)
    if caller.role is Role.NOBODY:
        hint = f"add {caller.name} to [api] viewers, or to the socket's group"
        raise ApiError(403, f"{caller.name}: expected a user whom the configuration names", hint=hint)
    return caller


def bearer(request: web.Request, tokens: TokenBook | None, now_ms: int) -> Caller:
    """Who a token says it is. Raises ApiError 401 for none, an unknown, an expired or a revoked one."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        token = tokens.find(text.strip(), now_ms) if tokens is not None and scheme.lower() == "bearer" else None
    except TokenFileError as error:
        raise ApiError(503, f"the tokens cannot be read: {error}") from error
    if token is None:
        raise ApiError(401, "expected Authorization: Bearer with a token that is live", hint="farmctl token make")
    return Caller(uid=token.uid, name=token.name, role=Role[token.role.upper()])


def _accounts_of(uid: int) -> tuple[str, frozenset[str]]:
    """The user's name, and every name that the configuration may call this user by."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return f"uid {uid}", frozenset()
    groups: set[str] = set()
    for gid in os.getgrouplist(user.pw_name, user.pw_gid):
        try:
            groups.add(f"@{grp.getgrgid(gid).gr_name}")
        except KeyError:
            continue
    return user.pw_name, frozenset({user.pw_name, *groups})
