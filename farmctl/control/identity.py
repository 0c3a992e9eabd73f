"""Who is on the other end of the Unix socket, and what that person may do."""

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

from farmctl.control.wire import ApiError
from farmctl.ports.control import By

_UCRED = struct.Struct("3i")
"""pid, uid, gid of SO_PEERCRED: unix(7)."""


class Role(IntEnum):
    """What a caller may do; each may do what those below it may."""

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

    operators: frozenset[str]
    engineers: frozenset[str]
    daemon_uid: int

    @classmethod
    def of(cls, operators: Iterable[str], engineers: Iterable[str]) -> RoleTable:
        """The configuration's lists; root and the user who runs the daemon are engineers anyway."""
        return cls(operators=frozenset(operators), engineers=frozenset(engineers), daemon_uid=os.geteuid())

    def __call__(self, uid: int) -> Caller:
        """Identify one uid; an unknown one is a viewer."""
        name, accounts = _accounts_of(uid)
        if uid in (0, self.daemon_uid) or accounts & self.engineers:
            return Caller(uid=uid, name=name, role=Role.ENGINEER)
        role = Role.OPERATOR if accounts & self.operators else Role.VIEWER
        return Caller(uid=uid, name=name, role=role)


async def caller_of(request: web.Request, identify: Identify) -> Caller:
    """Who sent a request: the kernel's word for it, never the client's. Raises ApiError 401 without credentials."""
    transport = request.transport
    link = transport.get_extra_info("socket") if transport is not None else None
    if link is None or link.family != socket.AF_UNIX:
        raise ApiError(401, "expected a caller on the Unix socket, whose uid the kernel names")
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(raw)
    return await asyncio.to_thread(identify, uid)


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
