"""Two hosts of a site's database and a witness, as `configs/patroni` has them, on loopback addresses of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks._postgresql import debian

SHIPPED = Path("configs/patroni")
NETWORK = "127.86.0"
HOSTS = {"db-a": f"{NETWORK}.1", "db-b": f"{NETWORK}.2", "witness": f"{NETWORK}.3"}
USER = "postgres"
SECRET = "of-the-demo"  # noqa: S105 - of servers on loopback that live for minutes
"""Of every login here."""
PASSWORDS = {"PATRONI_REWIND_PASSWORD": SECRET, "PATRONI_REPLICATION_PASSWORD": SECRET}
PATIENCE_S = 120.0
LOOK_S = 0.2


def missing() -> str | None:
    """What is wanted here and is not; None: all of it is here."""
    if os.geteuid() != 0:
        return "root, to run PostgreSQL as its own user"
    absent = [program for program in ("patroni", "etcd") if shutil.which(program) is None]
    if absent:
        return f"{' and '.join(absent)} (Debian packages patroni, etcd-server)"
    return None if binaries() is not None else "Debian's postgresql"


class Host:
    """One of the three; the witness has etcd alone."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.address, self.folder = name, HOSTS[name], folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Everything that its systemd would start."""
        state = "existing" if (self.folder / "etcd").exists() else "new"
        here = f"http://{self.address}"
        members = ",".join(f"{name}=http://{address}:2380" for name, address in HOSTS.items())
        self._spawn(
            "etcd", "--name", self.name, "--data-dir", str(self.folder / "etcd"),
            "--listen-client-urls", f"{here}:2379", "--advertise-client-urls", f"{here}:2379",
            "--listen-peer-urls", f"{here}:2380", "--initial-advertise-peer-urls", f"{here}:2380",
            "--initial-cluster", members, "--initial-cluster-state", state,
        )  # fmt: skip
        if self.name != "witness":
            self._spawn("patroni", str(self.folder / "patroni.yml"))

    def lose(self) -> None:
        """Kill -9 of everything on it, at once."""
        everything = [process.pid for process in self._processes] + list(_at_home_in(self.folder / "data"))
        for stroke in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none of them sees another go
            for pid in everything:
                with suppress(ProcessLookupError):
                    os.kill(pid, stroke)
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def says(self, path: str) -> bool:
        """What Patroni answers to a load balancer: True for 200."""
        try:
            with urlopen(f"http://{self.address}:8008/{path}", timeout=2.0) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP OK
        except (URLError, OSError):
            return False

    def _spawn(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | PASSWORDS
            process = subprocess.Popen(  # noqa: S603 - our own words
                words, user=USER, group=USER, extra_groups=[], cwd="/", env=environment, start_new_session=True,
                stdout=log, stderr=log,
            )  # fmt: skip
            self._processes.append(process)


@contextmanager
def three() -> Iterator[dict[str, Host]]:
    """All of them, started, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="farmctl-patroni-"))
    try:
        hosts = {name: Host(name, _prepared(folder, name)) for name in HOSTS}
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, USER, USER)
        try:
            for host in hosts.values():
                host.start()
            yield hosts
        finally:
            for host in hosts.values():
                host.lose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def until_paired(hosts: dict[str, Host]) -> tuple[Host, Host]:
    """Wait for a primary with a synchronous standby; both."""
    pair = [hosts["db-a"], hosts["db-b"]]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for primary, standby in (pair, pair[::-1]):
                leads = await asyncio.to_thread(primary.says, "primary")
                if leads and await asyncio.to_thread(standby.says, "synchronous"):
                    return primary, standby
            await asyncio.sleep(LOOK_S)


def _prepared(folder: Path, name: str) -> Path:
    """A host's folder with its certificate and, from the shipped file, its configuration."""
    home = folder / name
    home.mkdir()
    _certify(home, HOSTS[name])
    text = (SHIPPED / "site-07-a.yml").read_text(encoding="utf-8").replace("name: db-a", f"name: {name}")
    text = text.replace("connect_address: db-a", f"connect_address: {HOSTS[name]}").replace("0.0.0.0", HOSTS[name])  # noqa: S104 - taken away  # noqa: S104 - taken away
    for each, address in HOSTS.items():
        text = text.replace(f"{each}:2379", f"{address}:2379")
    text = text.replace("10.7.0.0/24", "127.0.0.0/8")
    text = text.replace("/var/lib/postgresql/15/site-07", str(home / "data")).replace("/etc/postgresql/tls", str(home))
    text = text.replace("/var/run/postgresql", str(home))
    text = text.replace("/usr/lib/postgresql/15/bin", str(binaries()))
    (home / "patroni.yml").write_text(text, encoding="utf-8")
    return home


def _at_home_in(folder: Path) -> Iterator[int]:
    """Processes that work there: a server and all its own, whoever started it."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == folder:
                yield int(link.parent.name)


def _certify(home: Path, address: str) -> None:
    """A key and a certificate that signs itself, where the shipped file has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (home / "server.key").write_bytes(text)
    (home / "server.key").chmod(0o600)
    (home / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def binaries() -> Path | None:
    """Debian's server, the one that the shipped file names."""
    return next(iter(debian()), None)
