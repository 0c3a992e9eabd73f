"""`farmctl keys` as an operator types it, and what a site makes of the messages that it prints."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farmctl.cli import cli
from farmctl.errors import ConfigError, RefusedError
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.keys import IssuerKey, Keyring, from_bytes, to_bytes
from farmctl.signals._intake.verdict import Accepted, KeysChanged, Refused
from farmctl.signals.keyfiles import seed_in
from tests.signals.words import TOPIC, Desk, event, note, signed

KEYS = TOPIC[Route.KEYS]


@dataclass(frozen=True, kw_only=True)
class Typed:
    code: int
    out: str
    error: BaseException | None


def typed(*words: str) -> Typed:
    result = CliRunner().invoke(cli, ["keys", *words], standalone_mode=False)
    code = result.return_value if isinstance(result.return_value, int) else 1
    return Typed(code=code, out=result.stdout, error=result.exception)


def made(folder: Path, kid: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed("new", kid, "--dir", str(folder), "-o", "json").out)
    return found


def site_that_pins(folder: Path, *kids: str, root: str = "") -> Desk:
    keys = {kid: IssuerKey(public=base64.b64decode(made(folder, kid)["public_key"])) for kid in kids}
    pinned = Keyring(keys=keys, root=base64.b64decode(made(folder, root)["public_key"]) if root else b"")
    desk = Desk(signed=True, pinned=pinned)
    desk.now_ms = 2**42  # the verb signs with the real time; the site's clock is not what is tested
    return desk


def says(kid: str, folder: Path, number: int) -> dict[str, Any]:
    times = {"issuedAt": "2109-05-15T07:00:00Z", "expiresAt": "2109-05-16T07:00:00Z"}
    body = event(number, x={**times, "kid": kid}, id=f"ev-{number}")
    body["intervalPeriod"]["start"] = "0001-01-01"
    return signed(Route.CREATE, note(body), seed_in(folder / f"{kid}.pem"))


def test_a_new_key_is_its_owners_alone_and_prints_what_a_configuration_pins(tmp_path: Path) -> None:
    found = made(tmp_path / "secrets", "grid-op-1")
    file = Path(found["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(base64.b64decode(found["public_key"])) == 32
    assert "PRIVATE" not in json.dumps(found)
    again = typed("new", "grid-op-1", "--dir", str(tmp_path / "secrets"))
    assert isinstance(again.error, RefusedError)


@pytest.mark.parametrize("kid", ["../evil", "a/b", "", "x" * 65, "a b"])
def test_a_key_id_is_no_path(tmp_path: Path, kid: str) -> None:
    assert isinstance(typed("new", kid, "--dir", str(tmp_path)).error, RefusedError)
    assert not list(tmp_path.parent.glob("evil*"))


def test_the_list_names_every_key_and_complains_of_open_files(tmp_path: Path) -> None:
    made(tmp_path, "a"), made(tmp_path, "b")
    (tmp_path / "other.pem").write_text("no key")
    listed = typed("list", "--dir", str(tmp_path), "-o", "json")
    assert ([row["kid"] for row in json.loads(listed.out)["rows"]], listed.code) == (["a", "b"], 0)
    (tmp_path / "b.pem").chmod(0o644)
    assert typed("list", "--dir", str(tmp_path)).code == 1


def test_a_rotation_is_believed_and_the_new_key_signs(tmp_path: Path) -> None:
    desk = site_that_pins(tmp_path, "k1")
    options = ("--by", str(tmp_path / "k1.pem"), "--issuer", "grid-op", "--topic", KEYS, "--dir", str(tmp_path))
    told = typed("rotate", "k2", *options)
    assert isinstance(desk.hears(Route.KEYS, told.out.encode(), retained=True), KeysChanged)
    assert isinstance(desk.hears(Route.CREATE, says("k2", tmp_path, 1)), Accepted)
    assert isinstance(desk.hears(Route.CREATE, says("k1", tmp_path, 2)), Accepted)


def test_a_revoked_key_is_done_for_good(tmp_path: Path) -> None:
    desk = site_that_pins(tmp_path, "k1", "k2")
    told = typed("revoke", "k1", "--by", str(tmp_path / "k2.pem"), "--issuer", "grid-op", "--topic", KEYS)
    verdict = desk.hears(Route.KEYS, told.out.encode(), retained=True)
    assert isinstance(verdict, KeysChanged)
    assert isinstance(desk.hears(Route.CREATE, says("k1", tmp_path, 1)), Refused)
    assert isinstance(desk.hears(Route.CREATE, says("k2", tmp_path, 2)), Accepted)
    restarted = from_bytes(desk.rules.pinned, to_bytes(verdict.keyring))
    assert restarted.usable("k1", desk.now_ms) is None


def test_the_offline_root_revokes_every_key_and_announces_a_new_one(tmp_path: Path) -> None:
    desk = site_that_pins(tmp_path, "k1", root="root")
    root = ("--by", str(tmp_path / "root.pem"), "--issuer", "grid-op", "--topic", KEYS)
    told = typed("rotate", "k2", *root, "--revoked", "k1", "--dir", str(tmp_path))
    assert isinstance(desk.hears(Route.KEYS, told.out.encode(), retained=True), KeysChanged)
    assert isinstance(desk.hears(Route.CREATE, says("k1", tmp_path, 1)), Refused)
    assert isinstance(desk.hears(Route.CREATE, says("k2", tmp_path, 2)), Accepted)
    assert isinstance(desk.hears(Route.CREATE, says("root", tmp_path, 3)), Refused)  # it signs keys and nothing else


def test_a_message_for_another_site_or_by_a_stranger_changes_nothing(tmp_path: Path) -> None:
    desk = site_that_pins(tmp_path, "k1")
    made(tmp_path, "mine")
    for by, topic in (("k1", KEYS.replace("site-07", "site-08")), ("mine", KEYS)):
        options = ("--by", str(tmp_path / f"{by}.pem"), "--issuer", "grid-op", "--topic", topic)
        told = typed("rotate", f"new-{by}", *options, "--dir", str(tmp_path))
        assert isinstance(desk.hears(Route.KEYS, told.out.encode(), retained=True), Refused)


def test_a_key_does_not_revoke_itself_and_rubbish_is_no_key(tmp_path: Path) -> None:
    made(tmp_path, "k1")
    options = ("--issuer", "grid-op", "--topic", KEYS)
    assert typed("revoke", "k1", "--by", str(tmp_path / "k1.pem"), *options).error is not None
    (tmp_path / "bad.pem").write_text("-----BEGIN RUBBISH-----")
    assert isinstance(typed("revoke", "k1", "--by", str(tmp_path / "bad.pem"), *options).error, ConfigError)
