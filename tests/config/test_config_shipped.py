from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmctl.config.fault import ConfigFaultsError
from farmctl.config.load import load, parse
from farmctl.config.parts import Known
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.farm import schema_text
from farmctl.config.schema.kinds import Table
from farmctl.config.shipped import NotShippedError, shipped, shipped_profiles
from farmctl.core.policies import POLICIES

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLE = CONFIGS / "farm.example.toml"
HEADQUARTERS = CONFIGS / "hq.example.toml"
SECRETS = (
    "secrets/broker.password", "secrets/site-07.key", "secrets/signing.pem", "secrets/whatsminer.password",
    "secrets/vtn.secret", "secrets/oncall.hmac", "secrets/mail.password", "secrets/apprise.urls",
    "secrets/metrics.key", "secrets/metrics.password", "secrets/market.token", "secrets/site-07.dsn",
    "secrets/market.password",
)  # fmt: skip
PUBLIC = ("tls/ca.pem", "tls/metrics.pem", "tls/site-07.pem")


def leaves(table: Table, path: str) -> Iterator[tuple[str, object]]:
    for name in type(table).model_fields:
        value, here = getattr(table, name), f"{path}.{name}".lstrip(".")
        children = value if isinstance(value, tuple) else (value,)
        tables = [child for child in children if isinstance(child, Table)]
        if tables:
            for child in tables:
                yield from leaves(child, here)
        else:
            yield here, value


def test_the_schema_is_pinned() -> None:
    """Regenerate: python -m farmctl.config.schema > configs/schemas/config.schema.json."""
    assert (CONFIGS / "schemas" / "config.schema.json").read_text() == schema_text()


def test_every_key_and_table_of_the_schema_is_described() -> None:
    schema = json.loads(schema_text())
    for name, table in {**schema["$defs"], "FarmConfig": schema}.items():
        assert table.get("description"), name
        assert [key for key, field in table["properties"].items() if not field.get("description")] == [], name


def test_the_examples_set_every_key() -> None:
    """Headquarters has an example of its own: a site has no [programme]."""
    loaded, programme = parse(EXAMPLE.read_text(), "farm.example.toml"), parse(HEADQUARTERS.read_text())
    written = {
        ".".join(part for part in path if isinstance(part, str)) for path in (*loaded.origins, *programme.origins)
    }
    assert [key for key, _ in leaves(loaded.config, "") if key not in written] == []
    assert programme.config.programme is not None
    assert [key for key, _ in leaves(programme.config.programme, "programme") if key not in written] == []
    assert {key for key, _ in leaves(loaded.config, "")} >= {"signal.issuers.keys.kid", "meter.registers.scale"}


def test_every_table_of_the_file_reaches_the_configuration() -> None:
    text = "[site]\nname = 's'\nrated_kw = 1.0\n[history]\nenabled = false\n[settlement]\ncurrency = 'PKR'\n"
    config = parse(text).config
    assert (config.history.enabled, config.settlement.currency) == (False, "PKR")


def test_the_example_comments_every_key_with_its_own_description() -> None:
    text = " ".join((EXAMPLE.read_text() + HEADQUARTERS.read_text()).replace("\n# ", " ").split())
    schema = json.loads(schema_text())
    for table in schema["$defs"].values():
        for key, field in table["properties"].items():
            described = " ".join(field["description"].split())
            assert described in text or key in {"parent", "registers", "issuers", "keys"}, key


def test_the_example_loads_without_faults_beside_the_files_it_names(tmp_path: Path) -> None:
    file = tmp_path / "farm.toml"
    shutil.copy(EXAMPLE, file)
    for name in (*SECRETS, *PUBLIC, "vault/luxos"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        path.chmod(0o600)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path / "vault")}
    known = Known(drivers=frozenset({"whatsminer", "luxos", "antminer"}), policies=frozenset(POLICIES))
    config = load(file, environment=environment, known=known).config
    assert isinstance(config, FarmConfig)
    assert config.site.rated_kw == 25_000


def test_the_example_without_its_secrets_lists_each_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "farm.toml"
    shutil.copy(EXAMPLE, file)
    with pytest.raises(ConfigFaultsError) as caught:
        load(file, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    missing = {fault.expected for fault in caught.value.faults}  # two sources share a certificate
    assert len(missing) == len(SECRETS) + len(PUBLIC) + 1


def test_no_shipped_configuration_holds_a_secret_in_plain_text() -> None:
    for file in CONFIGS.rglob("*.toml"):
        for line in file.read_text().splitlines():
            key = line.partition("=")[0].strip()
            assert key not in {"password", "passwd", "secret", "token", "private_key"}, f"{file.name}: {line}"


def test_shipped_files_are_found_and_a_missing_one_is_named() -> None:
    assert shipped("farm.example.toml").read_text(encoding="utf-8") == EXAMPLE.read_text()
    assert {name for name, _ in shipped_profiles()} >= {
        "whatsminer.toml",
        "antminer.toml",
        "luxos.toml",
        "generic.toml",
    }
    with pytest.raises(NotShippedError, match=r"no/such.toml"):
        shipped("no/such.toml")
