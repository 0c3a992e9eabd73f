"""Whatever a controller writes or says holds no secret of its configuration: files, log, answers, metrics, bundle."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import structlog

from farmctl.control.client import ControlClient
from farmctl.control.routes import ROUTES
from farmctl.errors import FarmError
from farmctl.signals.keyfiles import new_key
from farmctl.store.recording import DayFiles
from simulators.broker import find_mosquitto, free_port
from tests.farm.controller import ROOT, controller
from tests.farm.setting import Setting
from tests.farm.site import Site, site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
SECRETS = {name: f"sw0rdfish-{name}-41c7" for name in ("broker", "metrics", "webhook", "mail", "miners")}
"""One word per place, so that a find says where it came from."""
OWN = {"secrets", "mosquitto.conf"}
"""What holds secrets by its nature."""
FILES = """
[[notify]]
name = "oncall"
kind = "webhook"
url = "http://127.0.0.1:{port}/farmctl"
secret_file = "{folder}/webhook"
lifecycle = true
[[notify]]
name = "mail"
kind = "smtp"
server = "127.0.0.1:{port}"
security = "none"
user = "site"
password_file = "{folder}/mail"
sender = "farmctl@site.example"
recipients = ["operators@site.example"]
[[credentials]]
driver = "whatsminer"
password_file = "{folder}/miners"
"""


def with_secrets(there: Site) -> None:
    """Logins at every door: right at the broker, the miners and the metrics, and nobody home at the others."""
    folder = there.folder / "secrets"
    key = new_key(folder, "story")
    for name, text in SECRETS.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    text = there.config_path.read_text(encoding="utf-8")
    text = text.replace("[store]", f'user = "site"\npassword_file = "{folder}/broker"\n[store]', 1)
    text = text.replace("[store]", f'signing_key_file = "{key.file}"\n[store]', 1)
    text = text.replace("[metrics]", f'[metrics]\nuser = "prometheus"\npassword_file = "{folder}/metrics"', 1)
    there.config_path.write_text(text + FILES.format(folder=folder, port=free_port()), encoding="utf-8")
    for miner in there.world.miners:
        miner.settings.api_password = SECRETS["miners"]
    there.before = there.fingerprints()


@contextmanager
def every_word_logged(path: Path) -> Iterator[None]:
    """All that anybody logs, down to debug, goes into a file."""
    before = structlog.get_config()
    with path.open("w", encoding="utf-8") as out:
        spy = logging.StreamHandler(out)
        logging.getLogger().addHandler(spy)
        logging.getLogger().setLevel(logging.DEBUG)
        structlog.configure(
            processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(file=out),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            logging.getLogger().removeHandler(spy)
            logging.getLogger().setLevel(logging.WARNING)
            structlog.configure(**before)


def answers(there: Site) -> Iterator[tuple[str, bytes]]:
    """Everything that the control API and /metrics say to whoever asks."""
    client = ControlClient(str(there.folder / "farmctl.sock"), timeout_s=30.0)
    for route in ROUTES:
        if route.method == "GET" and "{" not in route.path and route.name != "watch":
            try:
                yield route.path, repr(client.get(route.path)).encode()
            except FarmError as error:
                yield route.path, str(error).encode()
    login = base64.b64encode(f"prometheus:{SECRETS['metrics']}".encode()).decode()
    listen = there.loaded.config.metrics.listen
    asked = Request(f"http://{listen}/metrics", headers={"Authorization": f"Basic {login}"})
    with urlopen(asked, timeout=30.0) as answer:  # noqa: S310 - loopback
        yield "/metrics", answer.read()


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, and what is packed in some of them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not OWN & set(path.relative_to(folder).parts):
            yield path.name, path.read_bytes()
    for frame in DayFiles(folder).frames():
        yield f"recording {frame.cycle}", zlib.decompress(frame.inputs) + frame.memory
    with tarfile.open(folder / "bundle.tgz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            yield member.name, file.read() if file is not None else b""


async def bundled(there: Site, log: Path) -> None:
    words = ("support-bundle", "--config", str(there.config_path), "--out", str(there.folder / "bundle.tgz"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "farmctl", *words, "--log", str(log)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_nothing_that_a_controller_writes_or_says_holds_a_secret_of_its_configuration(tmp_path: Path) -> None:
    setting = Setting(net=242, mix={"m50": 6, "luxos-s19kpro": 4})
    async with site(tmp_path, setting) as there:
        with_secrets(there)
        with every_word_logged(tmp_path / "controller.log"):
            async with controller(there) as running:
                target_kw = 0.6 * there.full_kw
                await there.ask(target_kw)
                await there.until(
                    lambda: there.near(target_kw), "meter on the set-point: the logins work", within_s=90.0
                )
                told = dict(await asyncio.to_thread(lambda: list(answers(there))))
                await bundled(there, tmp_path / "controller.log")
                assert running.seen.alarms is not None
        whole = {**told, **dict(await asyncio.to_thread(lambda: list(written(tmp_path))))}
    assert {"/metrics", "/v1/config", "/v1/snapshot", "controller.log", "journal.db"} <= whole.keys(), sorted(whole)
    pem = (tmp_path / "secrets" / "story.pem").read_text(encoding="ascii").splitlines()[1]
    for place, text in whole.items():
        for name, secret in {**SECRETS, "signing": pem}.items():
            forms = (secret.encode(), base64.b64encode(secret.encode()))
            assert not any(form in text for form in forms), f"{place} holds the secret of {name}"
