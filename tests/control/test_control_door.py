"""The socket file, roles from the machine's own accounts, and a client that meets silence."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop

from farmctl.control.client import ControlClient, ControllerRefusedError, ControllerSilentError
from farmctl.control.door import SocketError, close_socket, open_socket
from farmctl.control.identity import Role, RoleTable
from farmctl.errors import MalformedReplyError
from tests.control.glasshouse import Asker, Glasshouse
from tests.scenarios.day import farm


def test_the_socket_is_for_its_group_only(door: Path) -> None:
    opened = open_socket(door, None)
    mode = door.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    close_socket(opened, door)
    assert not door.exists()


def test_a_socket_left_by_a_killed_controller_is_replaced(door: Path) -> None:
    door.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(door))
    close_socket(open_socket(door, None), door)


async def test_a_living_controller_keeps_its_socket(house: Glasshouse, ask: Asker) -> None:
    path = Path(ask.client.socket_path)
    with pytest.raises(SocketError, match="another controller"):
        async with house.server(path).listening():
            pass
    assert (await ask.get("/v1/health"))["ok"]


def test_another_file_is_left_alone(door: Path) -> None:
    door.parent.mkdir()
    door.write_text("precious")
    with pytest.raises(SocketError, match="another file"):
        open_socket(door, None)
    assert door.read_text() == "precious"


def test_an_unknown_group_leaves_the_socket_to_its_owner(door: Path) -> None:
    close_socket(open_socket(door, "no-such-group-here"), door)


async def test_the_server_starts_again_on_the_same_path(house: Glasshouse, door: Path) -> None:
    for _ in range(2):
        async with house.server(door).listening():
            assert (await Asker(ControlClient(str(door))).get("/v1/health"))["ok"]
    assert not _is_there(door)


async def test_run_serves_until_it_is_cancelled(house: Glasshouse, door: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        served = tasks.create_task(house.server(door).run())
        await asyncio.to_thread(_until_open, door)
        assert (await Asker(ControlClient(str(door))).get("/v1/health"))["ok"]
        served.cancel()
    assert not _is_there(door)


def test_roles_come_from_users_and_groups() -> None:
    me = pwd.getpwuid(os.getuid())
    other = next(user for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid()))
    group = grp.getgrgid(other.pw_gid).gr_name
    assert RoleTable.of((), ())(me.pw_uid).role is Role.ENGINEER
    assert RoleTable.of((), ())(0).role is Role.ENGINEER
    assert RoleTable.of((), ())(other.pw_uid).role is Role.NOBODY
    assert RoleTable.of((), (), (f"@{group}",))(other.pw_uid).role is Role.VIEWER
    assert RoleTable.of((), (), (), Role.VIEWER)(other.pw_uid).role is Role.VIEWER
    assert RoleTable.of((other.pw_name,), ())(other.pw_uid).role is Role.OPERATOR
    assert RoleTable.of((f"@{group}",), ())(other.pw_uid).role is Role.OPERATOR
    assert RoleTable.of((), (f"@{group}",))(other.pw_uid).role is Role.ENGINEER
    assert RoleTable.of((group,), ())(other.pw_uid).role is (Role.OPERATOR if group == other.pw_name else Role.NOBODY)
    stranger = RoleTable.of((), ())(4_000_000)
    assert (stranger.role, stranger.name) == (Role.NOBODY, "uid 4000000")


def test_the_kernel_names_the_caller_under_uvloop_too(door: Path) -> None:
    async def asked() -> dict[str, Any]:
        house = Glasshouse(farm(2), identify=RoleTable.of((), ())).run(2)
        async with house.server(door).listening():
            return await Asker(ControlClient(str(door))).get("/v1/whoami")

    told = uvloop.run(asked())
    assert (told["uid"], told["role"]) == (os.getuid(), "engineer")


def test_nobody_at_the_door_is_silence(door: Path) -> None:
    with pytest.raises(ControllerSilentError, match="does not answer"):
        ControlClient(str(door)).get("/v1/state")


def test_a_controller_that_hangs_is_silence_too(door: Path) -> None:
    opened = open_socket(door, None)
    with pytest.raises(ControllerSilentError, match="timed out"):
        ControlClient(str(door), timeout_s=0.2).get("/v1/state")
    close_socket(opened, door)


async def test_something_else_at_the_door_is_malformed(door: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    door.parent.mkdir()
    async with await asyncio.start_unix_server(babble, str(door)):
        with pytest.raises(MalformedReplyError, match="hello"):
            await Asker(ControlClient(str(door))).get("/v1/state")


async def test_a_huge_body_is_refused(house: Glasshouse, ask: Asker) -> None:
    with pytest.raises(ControllerRefusedError) as refused:
        await ask.post(verb="stop_all", reason="x" * 100_000)
    assert refused.value.status == 413
    assert not house.desk.stop_all


def _is_there(path: Path) -> bool:
    return path.exists()


def _until_open(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)
