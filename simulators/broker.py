"""An MQTT broker on loopback for demo and tests: mosquitto where there is one, else amqtt in this process."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib
import json
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import click

LOOPBACK = "127.0.0.1"
START_S = 15.0
STOP_S = 5.0
PORT_ATTEMPTS = 5
"""A port that was free can be lost to another process before the broker takes it."""
FREE_PORTS = range(10_000, 20_000)
FREE_PORT_ATTEMPTS = 50

Kind = Literal["mosquitto", "amqtt"]


class BrokerError(RuntimeError):
    """The broker did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What mosquitto keeps across a restart, and where."""

    folder: Path
    persistent: bool


class Broker(Protocol):
    """A running broker."""

    host: str
    port: int
    kind: Kind

    async def kill(self) -> None:
        """End it as a crash would, without a goodbye to its clients."""
        ...

    async def restart(self) -> None:
        """Start it again on the same port, after a kill or while it runs."""
        ...

    async def stop(self) -> None:
        """End it in order; harmless when it has ended."""
        ...


class Mosquitto:
    """mosquitto as a child process with a configuration of its own."""

    kind: Kind = "mosquitto"

    def __init__(self, *, program: str, port: int, session: Session) -> None:
        self.host = LOOPBACK
        self.port = port
        self._program = program
        self._session = session
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start and wait until it accepts connections; raises BrokerError with its last words."""
        _check_free(self.host, self.port)
        config = self._session.folder / "mosquitto.conf"
        log = self._session.folder / "mosquitto.log"
        config.write_text(self._config(log), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            self._program,
            "-c",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end the broker last
        )
        self._process = process
        try:
            async with asyncio.timeout(START_S):
                while not await _accepts(self.host, self.port):
                    self._check_alive(process, log)
                    await asyncio.sleep(0.02)
            self._check_alive(process, log)
        except BaseException:
            await self.stop()
            raise

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def restart(self) -> None:
        """Stop if it runs, then start on the same port; persistent sessions survive."""
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after five seconds."""
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        await self.kill()

    def _config(self, log: Path) -> str:
        session = self._session
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            f"log_dest file {log}",
            "log_type error",
            "log_type warning",
            "max_queued_messages 10000",
            "set_tcp_nodelay true",
            f"persistence {'true' if session.persistent else 'false'}",
            f"persistence_location {session.folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
        ]
        if os.geteuid() == 0:
            # As root it would become the user `mosquitto`, who cannot write into our folder.
            lines.append(f"user {getpass.getuser()}")
        return "\n".join(lines) + "\n"

    @staticmethod
    def _check_alive(process: asyncio.subprocess.Process, log: Path) -> None:
        if process.returncode is not None:
            words = log.read_text(encoding="utf-8").strip() if log.exists() else "no log"
            raise BrokerError(f"mosquitto ended with {process.returncode} before it listened: {words}")


class Amqtt:
    """amqtt inside this process: MQTT 3.1.1 only, sessions in memory only."""

    kind: Kind = "amqtt"

    def __init__(self, *, port: int) -> None:
        self.host = LOOPBACK
        self.port = port
        self._broker: Any = None

    async def start(self) -> None:
        """Listen; raises BrokerError when amqtt is not installed or the port is taken."""
        try:
            module = importlib.import_module("amqtt.broker")
        except ModuleNotFoundError as error:
            raise BrokerError("no broker: mosquitto is not on the PATH and amqtt (extra `demo`) is missing") from error
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        broker = module.Broker(config)
        try:
            async with asyncio.timeout(START_S):
                await broker.start()
        except module.BrokerError as error:
            raise BrokerError(f"amqtt cannot listen on {self.host}:{self.port}: {error}") from error
        self._broker = broker

    async def kill(self) -> None:
        """Not possible without killing ourselves; always raises RuntimeError."""
        raise RuntimeError("amqtt runs in this process and cannot be killed alone; use mosquitto")

    async def restart(self) -> None:
        """Stop and start; everything retained or queued is lost."""
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """Close the listener and every session."""
        if self._broker is not None:
            broker, self._broker = self._broker, None
            async with asyncio.timeout(STOP_S):
                await broker.shutdown()


@contextlib.asynccontextmanager
async def broker(*, port: int = 0, kind: Kind | None = None, persistent: bool = False) -> AsyncIterator[Broker]:
    """Run a broker on loopback; port 0 picks a free one, `kind` None picks the best there is.

    With `persistent`, mosquitto keeps retained messages and sessions across kill and restart.
    Raises BrokerError when none can be started.
    """
    chosen = kind or ("mosquitto" if find_mosquitto() else "amqtt")
    with tempfile.TemporaryDirectory(prefix="farmsim-broker-") as folder:
        running = await _start(chosen, port, Session(folder=Path(folder), persistent=persistent))
        try:
            yield running
        finally:
            await running.stop()


def find_mosquitto() -> str | None:
    """Path of the mosquitto program; Debian puts it into sbin, which is not on every user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment; raises BrokerError when none is found.

    Below Linux's ephemeral ports (32768 and up): one of those may become the source of anybody's connection before
    it is listened on, even of the very connection that asks whether somebody listens there, which then reaches itself.
    """
    for _ in range(FREE_PORT_ATTEMPTS):
        port = FREE_PORTS.start + secrets.randbelow(len(FREE_PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise BrokerError(f"no free port in {FREE_PORT_ATTEMPTS} attempts between {FREE_PORTS.start} and {FREE_PORTS.stop}")


async def _start(kind: Kind, port: int, session: Session) -> Broker:
    attempts = PORT_ATTEMPTS if port == 0 else 1
    errors: list[str] = []
    for _ in range(attempts):
        candidate = _build(kind, port or free_port(), session)
        try:
            await candidate.start()
        except BrokerError as error:
            errors.append(str(error))
            if "mosquitto is not on the PATH" in str(error):
                break
        else:
            return candidate
    raise BrokerError("; ".join(errors))


def _build(kind: Kind, port: int, session: Session) -> Mosquitto | Amqtt:
    if kind == "amqtt":
        return Amqtt(port=port)
    program = find_mosquitto()
    if program is None:
        raise BrokerError("mosquitto is not on the PATH; install Debian's `mosquitto` or choose amqtt")
    return Mosquitto(program=program, port=port, session=session)


def _check_free(host: str, port: int) -> None:
    # Without this, whoever holds the port would pass for the mosquitto that is about to fail.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(f"mosquitto cannot listen on {host}:{port}: {error.strerror}") from error


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


@click.command("broker")
@click.option("--port", default=1883, show_default=True, help="TCP port on loopback; 0 picks a free one.")
@click.option("--kind", type=click.Choice(["mosquitto", "amqtt"]), default=None, help="Default: the best there is.")
def main(port: int, kind: Kind | None) -> None:
    """Run an MQTT broker on loopback, until interrupted; says which one in its first line."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, kind))


async def _serve(port: int, kind: Kind | None) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with broker(port=port, kind=kind) as running:
        click.echo(json.dumps({"ready": "broker", "kind": running.kind, "host": running.host, "port": running.port}))
        await ended.wait()
