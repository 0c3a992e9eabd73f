from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.config.build import circuit_tree, site_rules
from farmctl.config.credentials import SecretFileError, credentials_for, read_secret
from farmctl.config.fault import ConfigFaultsError, KeyPath
from farmctl.config.load import load, parse, search
from farmctl.config.positions import key_lines
from farmctl.config.schema.farm import FarmConfig
from farmctl.config.schema.signals import MqttTable
from farmctl.config.view import settings
from farmctl.config.write import first_config

SITE = '[site]\nname = "site-07"\nrated_kw = 1000.0\n'
POSITIONS = '''a = 1 # [x]
"q.k".b = """
[nope]
x = 1
"""
[site]
name = 'x # y'
l = [ 1, # c
 {a=1, b.c = "}"}, 3]
[[circuit]]
name="a"
[[circuit]]
name="b"
[[circuit.sub]]
z=1
[circuit.tab]
y=2024-01-01T00:00:00Z
'''


def test_every_key_is_found_on_its_line() -> None:
    lines = key_lines(POSITIONS)
    assert lines[("q.k", "b")] == 2
    assert lines[("site", "name")] == 7
    assert lines[("site", "l", 1, "b", "c")] == 9
    assert lines[("site", "l", 2)] == 9
    assert lines[("circuit", 1)] == 12
    assert lines[("circuit", 1, "sub", 0, "z")] == 15
    assert lines[("circuit", 1, "tab", "y")] == 17


KEYS = st.text("abc._- é\"'\\#]", min_size=1, max_size=4)
VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_document_has_a_line(document: dict[str, object], line_end: str) -> None:
    text = "".join(f"{_toml(key)} =  {_toml(value)}{line_end}" for key, value in document.items())
    assert tomllib.loads(text) == document
    lines = key_lines(text)
    assert set(lines) == set(_paths(document, ()))
    assert [lines[(key,)] for key in document] == list(range(1, len(document) + 1))


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(c):08x}" if c in '"\\\x7f' or c < " " else c for c in value) + '"'
        case list():
            return f"[ {', '.join(map(_toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())} }}"
        case _:
            return str(value)


def _paths(value: object, path: KeyPath) -> list[KeyPath]:
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [step for key, item in items for step in ((*path, key), *_paths(item, (*path, key)))]


def test_drop_ins_environment_and_flags_win_in_this_order_and_say_so(tmp_path: Path) -> None:
    main = tmp_path / "farm.toml"
    main.write_text(SITE + '[poll]\ninterval_s = 7.0\n[[circuit]]\nname = "root"\nrating_kw = 2000.0\n')
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "20-b.toml").write_text("[poll]\nanswer_s = 9.0\n[site]\nrated_kw = 1500.0\n")
    more = '[[circuit]]\nname = "root"\nrating_kw = 1800.0\n[[circuit]]\nname = "leaf"\nparent = "root"\n'
    (tmp_path / "conf.d" / "10-a.toml").write_text("[poll]\nanswer_s = 8.0\n" + more)
    environment = {"FARMCTL_POLL__IN_FLIGHT": "99", "FARMCTL_SITE__NAME": "other", "FARMCTL_CONFIG": "ignored"}
    loaded = load(main, environment=environment, flags={("control", "observe"): ("--observe", True)})
    shown = {setting.key: (setting.value, str(setting.origin)) for setting in settings(loaded)}
    assert shown["site.rated_kw"] == ("1500.0", f"{tmp_path}/conf.d/20-b.toml:4")
    assert shown["site.name"] == ("other", "env FARMCTL_SITE__NAME")
    assert shown["poll.interval_s"] == ("7.0", f"{main}:5")
    assert shown["poll.answer_s"] == ("9.0", f"{tmp_path}/conf.d/20-b.toml:2")
    assert shown["poll.in_flight"] == ("99", "env FARMCTL_POLL__IN_FLIGHT")
    assert shown["control.observe"] == ("true", "flag --observe")
    assert shown["control.policy"] == ("efficiency_first", "default")
    assert shown["circuit[0].rating_kw"] == ("1800.0", f"{tmp_path}/conf.d/10-a.toml:5")
    assert shown["circuit[1].parent"] == ("root", f"{tmp_path}/conf.d/10-a.toml:8")
    assert [file.name for file in loaded.files] == ["farm.toml", "10-a.toml", "20-b.toml"]


def test_a_fault_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text(SITE)
    with pytest.raises(ConfigFaultsError, match=r"env FARMCTL_POLL__INTERVALS: poll.intervals: unknown key; did you"):
        load(tmp_path / "farm.toml", environment={"FARMCTL_POLL__INTERVALS": "5"})


def test_the_first_file_found_is_taken_and_a_service_ignores_the_working_folder(tmp_path: Path) -> None:
    here, xdg = tmp_path / "here", tmp_path / "xdg"
    (xdg / "farmctl").mkdir(parents=True)
    here.mkdir()
    (here / "farm.toml").touch()
    (xdg / "farmctl" / "farm.toml").touch()
    environment = {"XDG_CONFIG_HOME": str(xdg)}
    assert search(Path("asked.toml"), environment | {"FARMCTL_CONFIG": "x"}, here) == Path("asked.toml")
    assert search(None, environment | {"FARMCTL_CONFIG": "x.toml"}, here) == Path("x.toml")
    assert search(None, environment, here) == here / "farm.toml"
    assert search(None, environment | {"INVOCATION_ID": "1"}, here) == xdg / "farmctl" / "farm.toml"
    with pytest.raises(ConfigFaultsError, match="farmctl init"):
        search(None, {"HOME": str(tmp_path / "none")}, tmp_path)


def test_relative_paths_start_at_the_file_and_credentials_at_the_folder_of_systemd(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / "luxos").write_text("s3cret\n")
    (vault / "luxos").chmod(0o440)
    (tmp_path / "pw").write_text("w\n")
    (tmp_path / "pw").chmod(0o600)
    logins = (
        '[[credentials]]\ndriver = "luxos"\npassword_file = "credential:luxos"\n'
        '[[credentials]]\ndriver = "whatsminer"\nselector = "host=10.1.*"\npassword_file = "pw"\n'
    )
    (tmp_path / "farm.toml").write_text(SITE + logins)
    config = load(tmp_path / "farm.toml", environment={"CREDENTIALS_DIRECTORY": str(vault)}).config
    luxos, whatsminer = config.credentials
    assert read_secret(luxos.password_file) == "s3cret"
    assert whatsminer.password_file == tmp_path / "pw"
    assert credentials_for(config.credentials, "whatsminer", {"host": "10.1.2.3"}) is whatsminer
    assert credentials_for(config.credentials, "whatsminer", {"host": "10.2.2.3"}) is None
    assert credentials_for(config.credentials, "luxos", {}) is luxos
    with pytest.raises(SecretFileError, match="No such file"):
        read_secret(tmp_path / "none")
    with pytest.raises(ConfigFaultsError, match="CREDENTIALS_DIRECTORY"):
        load(tmp_path / "farm.toml", environment={})


def test_the_core_gets_watts_and_seconds() -> None:
    text = SITE + "safe_min_kw = 10\nstanding_kw = 300\n[control]\nwake_fraction_per_5s = 0.05\n"
    rules = site_rules(parse(text).config)
    assert (rules.rated_w, rules.safe_min_w, rules.standing_w) == (1e6, 1e4, 3e5)
    assert rules.failsafe_limit_w == 3e5
    assert rules.ramp_up_w_per_s == pytest.approx(1e5 / 60)
    assert rules.wake_fraction_per_s == pytest.approx(0.01)
    assert not rules.grid_expected
    assert site_rules(parse(SITE + "safe_min_kw = 10\n").config).failsafe_limit_w == 1e4


def test_circuits_come_parents_first_whatever_their_order_in_the_file() -> None:
    text = SITE + "".join(
        f'[[circuit]]\nname = "{name}"\n{extra}\n'
        for name, extra in (("pdu", 'parent = "f2"'), ("f2", 'parent = "root"\nrating_kw = 400'), ("root", ""))
    )
    tree = circuit_tree(parse(text).config)
    assert tree.names == ("root", "f2", "pdu")
    assert tree.parent.tolist() == [-1, 0, 1]
    assert tree.rating_w.tolist() == [1e6, 4e5, float("inf")]
    assert np.isnan(tree.meter_w).all()
    alone = circuit_tree(parse(SITE).config)
    assert (alone.names, alone.rating_w.tolist()) == (("site-07",), [1e6])


def mqtt_of(config: FarmConfig) -> MqttTable:
    table = config.signal[0]
    assert isinstance(table, MqttTable)
    return table


def test_a_first_configuration_loads_and_starts_unarmed() -> None:
    text = first_config(name="site-07", rated_kw=20_000, meter=("10.0.0.5", 502), broker="127.0.0.1:1883")
    config = parse(text).config
    assert config.control.observe
    assert (config.meter[0].host, config.circuit[0].meter) == ("10.0.0.5", "main")
    assert mqtt_of(config).auth == "unsigned-demo"
    key = ("grid-op", "k1", "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
    signed = parse(first_config(name="s", rated_kw=1, broker="broker.example:8883", issuer_key=key)).config
    assert mqtt_of(signed).auth == "ed25519"
    assert not parse(first_config(name="s", rated_kw=1)).config.signal


@pytest.mark.parametrize("name", ["", "Site", 'x"\nrated_kw = 5', "a\x7f"])
def test_a_first_configuration_with_a_bad_answer_is_refused(name: str) -> None:
    with pytest.raises(ConfigFaultsError):
        first_config(name=name, rated_kw=10)
    with pytest.raises(ConfigFaultsError, match="loopback"):
        first_config(name="s", rated_kw=10, broker="broker.example:1883")


def test_a_key_is_valid_from_its_start_until_its_end() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    key = f'kid="k", public_key="A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", valid_from={start.isoformat()}'
    signal = '[[signal]]\nname="g"\nkind="mqtt"\nbrokers=["b:1"]\nop="o"\nforms=["simple"]\nsigning_key_file="s.pem"\n'
    text = f'{signal}issuers=[{{name="o",keys=[{{{key}}}]}}]'
    only = mqtt_of(parse(SITE + text).config).issuers[0].keys[0]
    assert only.valid_at(start)
    assert not only.valid_at(start - timedelta(seconds=1))
