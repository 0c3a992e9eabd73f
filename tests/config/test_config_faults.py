from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.config.fault import ConfigFaultsError
from farmctl.config.load import load, parse
from farmctl.config.parts import Known
from farmctl.config.unsigned import unsigned_sites
from farmctl.errors import AskHumanError, ConfigError

KNOWN = Known(drivers=frozenset({"whatsminer", "luxos"}), policies=frozenset({"efficiency_first"}))
SITE = '[site]\nname = "site-07"\nrated_kw = 1000.0\n'
KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
OTHER_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
SIGNAL = f"""
[[signal]]
name = "grid"
kind = "mqtt"
brokers = ["broker.example:8883"]
op = "grid-op"
programmes = ["surplus"]
signing_key_file = "signing.pem"
issuers = [{{ name = "grid-op", keys = [{{ kid = "k1", public_key = "{KEY}" }}] }}]
"""

BAD = """\
[site]
name = "Site 07"
rated_kw = -3
timezon = "UTC"
[control]
observ = true
interval_s = 4
policy = "efficient_first"
[pol]
x = 1
[[circuit]]
name = "a"
parent = "b"
[[circuit]]
name = "b"
parent = "a"
rating_kw = "12"
[[circuit]]
name = "c"
parent = "aa"
[[circuit]]
name = "c"
[[circuit]]
name = "d"
[[signal]]
name = "grid"
kind = "mqtt"
brokers = ["broker.example:1883"]
op = "grid-op"
programmes = ["p"]
auth = "unsigned-demo"
[[credentials]]
driver = "watsminer"
password = "hunter2"
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigFaultsError) as caught:
        parse(text, "farm.toml", KNOWN)
    return [str(fault) for fault in caught.value.faults]


def test_every_fault_of_a_bad_file_is_listed_at_once_with_its_line() -> None:
    assert faults_of(BAD) == [
        'farm.toml:2: site.name: expected text that matches ^[a-z0-9-]{1,40}$, got "Site 07"',
        "farm.toml:3: site.rated_kw: expected more than 0, got -3",
        "farm.toml:4: site.timezon: unknown key; did you mean timezone?",
        "farm.toml:6: control.observ: unknown key; did you mean observe?",
        "farm.toml:7: control.interval_s: unknown key; poll.interval_s exists",
        'farm.toml:8: control.policy: expected a known policy, got "efficient_first"; did you mean efficiency_first?',
        "farm.toml:9: pol: unknown table; did you mean poll?",
        "farm.toml:13: circuit[0].parent: expected a tree, got a ring: a -> b -> a",
        'farm.toml:17: circuit[1].rating_kw: expected a number, got "12"',
        'farm.toml:20: circuit[2].parent: expected a known circuit, got "aa"; did you mean a?',
        'farm.toml:22: circuit[3].name: expected a name of its own; "c" is also at farm.toml:19',
        'farm.toml:23: circuit[4].parent: missing; "c" is the root already, and there is one root',
        (
            'farm.toml:28: signal[0].brokers[0]: expected a loopback address with auth = "unsigned-demo",'
            ' got "broker.example:1883"'
        ),
        (
            "farm.toml:32: credentials[0].password_file: missing; File that holds the password and nothing else,"
            " mode 0600, or credential:NAME"
        ),
        'farm.toml:33: credentials[0].driver: expected a known driver, got "watsminer"; did you mean whatsminer?',
        (
            "farm.toml:34: credentials[0].password: a secret never stands in the configuration;"
            " expected password_file with the path of a file of mode 0600"
        ),
    ]


def test_the_error_asks_a_human_names_all_faults_and_never_prints_a_password() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(BAD, "farm.toml", KNOWN)
    assert isinstance(caught.value, AskHumanError)
    assert str(caught.value).startswith("16 faults in the configuration\n")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("safe_min_kw = 1001", "site.safe_min_kw: expected at most rated_kw = 1000, got 1001"),
        ("failsafe_limit_kw = 1500", "site.failsafe_limit_kw: expected at most rated_kw = 1000, got 1500"),
        ("standing_kw = 1500", "site.standing_kw: expected at most rated_kw = 1000, got 1500"),
        ("safe_min_kw = 50\nstanding_kw = 40", "site.standing_kw: expected at least safe_min_kw = 50, got 40"),
        ("timezone = 'Asia/Karachee'", "site.timezone: expected an IANA time zone that this machine knows"),
        ("confirm_fraction = true", "site.confirm_fraction: expected a number, got true"),
        ("[poll]\nin_flight = 1.5", "poll.in_flight: expected a whole number, got 1.5"),
        ("[poll]\nseen_stale_s = 4.0", "poll.seen_stale_s: expected at least interval_s = 5, got 4"),
        ("[[circuit]]\nname = 'root'\nrating_kw = 900", "site.rated_kw: expected at most the rating of the root"),
        ("[[circuit]]\nname = 'r'\nmeter = 'man'", 'circuit[0].meter: expected a known meter, got "man"'),
        ("[circuit]\nname = 'r'", "circuit: expected tables, each headed [[circuit]]"),
        ("[metrics]\nlisten = '9108'", "metrics.listen: expected host:port"),
        ("[[credentials]]\ndriver='luxos'\nselector='mdl=x'\npassword_file='p'", "credentials[0].selector: expected"),
        (SIGNAL + "heartbeat_lost_s = 5", "signal[0].heartbeat_lost_s: expected at least 10, got 5"),
        (SIGNAL + "heartbeat_alarm_s = 90", "signal[0].heartbeat_alarm_s: expected at most heartbeat_lost_s = 60"),
        (SIGNAL + "emergency_kw = 2000", "signal[0].emergency_kw: expected at most site.rated_kw = 1000"),
        (SIGNAL + "simple_levels_kw = [1, 2, 3, 4]", "signal[0].simple_levels_kw: expected levels that do not rise"),
        (SIGNAL + "simple_issuer = 'grid'", "signal[0].simple_issuer: expected a known issuer"),
        (SIGNAL + "cert_file = 'c'\nca_file = 'a'", "signal[0].cert_file: expected key_file beside cert_file"),
        (SIGNAL + SIGNAL, "signal[1].name: expected a name of its own"),
        (SIGNAL.replace("surplus", ""), "signal[0].programmes[0]: too short"),
        (SIGNAL.replace(KEY, "abcd"), "issuers[0].keys[0].public_key: expected an Ed25519 public key"),
        (SIGNAL.split("issuers", maxsplit=1)[0], 'signal[0].issuers: expected an issuer with a key: auth is "ed25519"'),
    ],
)
def test_one_wrong_thing_gives_one_fault(lines: str, fault: str) -> None:
    faults = faults_of(SITE + lines)
    assert len(faults) == 1, faults
    assert fault in faults[0]


def test_a_meter_must_measure_power_once_and_be_the_site_meter_once() -> None:
    one = "[[meter]]\nname='{}'\nkind='modbus'\nhost='h'\nsite=true\nregisters=[{{name='hz',address=0,type='u16'}}]\n"
    assert [line.split(": ")[1] for line in faults_of(SITE + one.format("a") + one.format("a"))] == [
        "meter[0].registers",
        "meter[1].name",
        "meter[1].site",
        "meter[1].registers",
    ]


def test_control_characters_never_reach_the_terminal() -> None:
    assert faults_of(SITE.replace("site-07", "\\u001b[2J\\n")) == [
        'farm.toml:2: site.name: expected text that matches ^[a-z0-9-]{1,40}$, got "\\u001b[2J\\n"',
    ]


def test_a_register_has_a_unit_of_its_quantity_and_bounds_that_are_bounds() -> None:
    register = "{name='kw',address=0,type='f32',unit='V',scale=0,min=5,max=5}"
    meter = f"[[meter]]\nname='m'\nkind='modbus'\nhost='h'\nregisters=[{register}]\n"
    assert faults_of(SITE + meter) == [
        "farm.toml:8: meter[0].registers[0].max: expected more than min = 5, got 5",
        "farm.toml:8: meter[0].registers[0].scale: expected a number that is not 0",
        'farm.toml:8: meter[0].registers[0].unit: expected one of kW, W, MW, got "V"',
    ]


def test_unsigned_is_accepted_on_loopback_only() -> None:
    demo = SIGNAL.split("issuers", maxsplit=1)[0] + "auth = 'unsigned-demo'\n"
    for broker in ("127.0.0.1:1883", "127.9.8.7:1", "[::1]:1883", "localhost:1883"):
        parse(SITE + demo.replace("broker.example:8883", broker))
    for broker in ("10.0.0.1:1883", "localhost.example:1883", "[::2]:1883", "0.0.0.0:1883"):
        assert "expected a loopback address" in faults_of(SITE + demo.replace("broker.example:8883", broker))[0]


UNIT = """
[[programme.site]]
name = "{name}"
broker = "{broker}"
op = "hq"
rated_kw = 9.0
"""
SITE_KEY = "[[programme.site.keys]]\nkid = '{kid}'\npublic_key = '{key}'\n"


def test_a_site_of_a_programme_without_a_key_is_believed_on_loopback_only() -> None:
    programme = SITE + "[programme]\nstep_kw = 5.0\n"
    near, far = UNIT.format(name="near", broker="127.0.0.1:1883"), UNIT.format(name="far", broker="far.example:8883")
    assert unsigned_sites(parse(programme + near).config) == ("near",)
    (fault,) = faults_of(programme + near + far)
    assert fault.startswith("farm.toml:13: programme.site[1].keys: missing; expected [[programme.site.keys]]"), fault
    assert 'who can publish at "far.example:8883" could say for far that it has shed' in fault
    keyed = far + SITE_KEY.format(kid="a", key=KEY)
    assert unsigned_sites(parse(programme + keyed).config) == ()
    (fault,) = faults_of(programme + keyed + SITE_KEY.format(kid="a", key=OTHER_KEY))
    assert "programme.site[0].keys[1].kid: expected a name of its own" in fault
    (fault,) = faults_of(programme + far + SITE_KEY.format(kid="a", key="AAAA"))
    assert "programme.site[0].keys[0].public_key: expected an Ed25519 public key" in fault
    (fault,) = faults_of(programme + keyed + near + SITE_KEY.format(kid="b", key=KEY))
    assert "site[1].keys[0].public_key: expected a key of its own, got that of far: each could speak for" in fault
    late = "valid_from = 2027-01-01T00:00:00Z\nvalid_until = 2026-01-01T00:00:00Z\n"
    (fault,) = faults_of(programme + keyed + late)
    assert "programme.site[0].keys[0].valid_until: expected a time after valid_from" in fault


def test_a_missing_or_open_or_empty_secret_is_a_fault(tmp_path: Path) -> None:
    logins = "".join(
        f"[[credentials]]\ndriver = 'luxos'\npassword_file = '{name}'\n" for name in ("good", "open", "empty", "none")
    )
    file = tmp_path / "farm.toml"
    file.write_text(SITE + logins)
    for name, text, mode in (("good", "pw", 0o600), ("open", "pw", 0o644), ("empty", "", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigFaultsError) as caught:
        load(file, environment={})
    assert [(fault.key, fault.expected.split(",")[0].split(" at ")[0]) for fault in caught.value.faults] == [
        ("credentials[1].password_file", "expected mode 0600 or narrower"),
        ("credentials[2].password_file", f"expected something in '{tmp_path / 'empty'}'"),
        ("credentials[3].password_file", "expected a file"),
    ]


def test_what_is_not_toml_is_reported_with_its_line_for_all_files(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "farm.toml").write_text("[site]\nname = \n")
    (tmp_path / "conf.d" / "10.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigFaultsError) as caught:
        load(tmp_path / "farm.toml", environment={})
    assert [(Path(fault.file).name, fault.line) for fault in caught.value.faults] == [("10.toml", 2), ("farm.toml", 2)]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaultsError, match="No such file"):
        load(tmp_path / "farm.toml", environment={})


def test_absurd_toml_is_a_fault_and_not_a_crash() -> None:
    for text in ("a = " + "[" * 5000, f"[site]\nrated_kw = {'9' * 5000}", "a = 2026-13-01", "\x00", f"a = {9**400}"):
        with pytest.raises(ConfigError):
            parse(text)


WORDS = ["site", "signal", "circuit", "meter", "credentials", "name", "rated_kw", "parent", "brokers", "kind", "auth"]
SCALARS = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=8).map(repr), st.sampled_from(WORDS).map(repr)
)
LINES = st.one_of(
    st.sampled_from(WORDS).map("[{}]".format),
    st.sampled_from(WORDS).map("[[{}]]".format),
    st.tuples(st.sampled_from(WORDS), SCALARS).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.tuples(st.sampled_from(WORDS), st.lists(SCALARS, max_size=3)).map(
        lambda pair: f"{pair[0]} = [{', '.join(map(str, pair[1]))}]"
    ),
    st.text(max_size=20),
)


@given(st.one_of(st.text(), st.lists(LINES, max_size=12).map("\n".join)))
def test_garbage_never_raises_anything_but_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(text)


@given(st.binary(max_size=200))
def test_garbage_in_a_file_never_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage.toml"
    file.write_bytes(raw)
    with pytest.raises(ConfigError):
        load(file, environment={"FARMCTL_SITE__NAME": raw.decode("latin-1")})
