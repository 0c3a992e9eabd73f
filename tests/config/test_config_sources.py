from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from farmctl.config.build import site_rules
from farmctl.config.fault import ConfigFaultsError
from farmctl.config.load import parse
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.sources import OpenAdr2Table, OpenAdr3Table, PriceTable, ScheduleTable
from farmctl.engine.clock import SystemClock
from farmctl.errors import ConfigError
from farmctl.signals.price import ModelGroup
from farmctl.wiring.sources import openadr2_source, openadr3_source, price_source, schedule_source

CONFIGS = Path(__file__).parents[2] / "configs"
SITE = FarmConfig.model_validate({"site": {"name": "site-07", "rated_kw": 25_000.0, "safe_min_kw": 300.0}})
CLOCK = SystemClock()


def groups() -> tuple[ModelGroup, ...]:
    return (ModelGroup(name="m", j_per_th=20.0, power_w=1e6),)


def three(**changes: Any) -> OpenAdr3Table:
    plain = {"name": "utility", "kind": "openadr3", "url": "https://vtn.example/v3", "ven_name": "ven-07"}
    return OpenAdr3Table.model_validate({**plain, **changes})


def test_an_openadr_31_table_becomes_a_ven_with_its_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of-mine\n")
    secret.chmod(0o600)
    table = three(client_id="site-07", client_secret_file=str(secret), simple_levels_kw=[25e3, 15e3, 5e3, 300.0])
    source = openadr3_source(SITE, table, CLOCK)
    made = source._config
    assert made.login is not None
    assert made.login.client_secret == "of-mine"  # noqa: S105 - it is in the test's own file
    assert made.simple_levels_w == (25e6, 15e6, 5e6, 300e3)
    assert (made.rating_w, made.emergency_w, made.poll_s) == (25e6, 300e3, 10.0)


def test_an_openadr_31_table_without_any_login_is_refused() -> None:
    with pytest.raises(ConfigError, match="client credentials"):
        openadr3_source(SITE, three(), CLOCK)


def test_an_openadr_20b_table_becomes_a_ven() -> None:
    plain = {"name": "old", "kind": "openadr2", "url": "http://127.0.0.1:8080/OpenADR2/Simple/2.0b", "ven_name": "ven"}
    assert openadr2_source(SITE, OpenAdr2Table.model_validate(plain), CLOCK).name == "old"
    beyond = OpenAdr2Table.model_validate({**plain, "url": "https://vtn.example/OpenADR2/Simple/2.0b"})
    with pytest.raises(ConfigError, match="certificate"):
        openadr2_source(SITE, beyond, CLOCK)


def test_a_market_needs_what_its_measure_asks_for() -> None:
    feed = {"file": str(CONFIGS / "prices" / "day-ahead.example.csv"), "value": "price_usd_mwh", "scale": 0.001}
    plain = {"name": "spot", "kind": "price", "feeds": [feed], "hash_price": 0.05}
    assert price_source(PriceTable.model_validate(plain), CLOCK, groups).name == "spot"
    surplus = PriceTable.model_validate({**plain, "measures": "surplus"})
    with pytest.raises(ConfigError, match="baseline_kw"):
        price_source(surplus, CLOCK, groups)
    both = PriceTable.model_validate({**plain, "feeds": [{**feed, "url": "https://market.example"}]})
    with pytest.raises(ConfigError, match="either file or url"):
        price_source(both, CLOCK, groups)


def test_a_schedule_table_names_its_file_and_a_real_zone() -> None:
    file = CONFIGS / "schedules" / "schedule.example.toml"
    plain = {"name": "plan", "kind": "schedule", "file": str(file), "timezone": "Asia/Karachi"}
    table = ScheduleTable.model_validate(plain)
    assert schedule_source(SITE, table, CLOCK).name == "plan"
    with pytest.raises(ValidationError, match="Asia/Karachi"):
        ScheduleTable.model_validate({**plain, "timezone": "Mars/Olympus"})


@pytest.mark.parametrize("table", [OpenAdr3Table, OpenAdr2Table, PriceTable, ScheduleTable])
def test_every_key_of_these_tables_is_described(table: type) -> None:
    schema = TypeAdapter(table).json_schema()
    for name, part in {"table": schema, **schema.get("$defs", {})}.items():
        assert part.get("description"), name
        assert [key for key, field in part["properties"].items() if not field.get("description")] == [], name


SITE_TEXT = '[site]\nname = "site-07"\nrated_kw = 25000.0\nsafe_min_kw = 300.0\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'kind = "openadr3"\nurl = "https://v"\nven_name = "x"\nclient_id = "y"\n',
            "client_secret_file beside client_id",
        ),
        ('kind = "openadr2"\nurl = "https://v"\nven_name = "x"\ncert_file = "c"\n', "key_file beside cert_file"),
        ('kind = "openadr3"\nurl = "https://v"\nven_name = "x"\nemergency_kw = 9e9\n', "site.rated_kw"),
        ('kind = "price"\nfeeds = [{ file = "a", url = "https://b" }]\nhash_price = 0.05\n', "either file or url"),
        ('kind = "price"\nfeeds = [{ file = "a" }]\n', "hash_price"),
        ('kind = "price"\nfeeds = [{ file = "a" }]\nmeasures = "surplus"\n', "baseline_kw"),
        ('kind = "schedule"\nfile = "a"\ntimezone = "Mars/Olympus"\n', "timezone"),
        ('kind = "schedules"\n', "schedule"),
    ],
)
def test_a_faulty_table_is_named_with_its_key(text: str, told: str) -> None:
    with pytest.raises(ConfigFaultsError, match=told):
        parse(f'{SITE_TEXT}[[signal]]\nname = "s"\n{text}')


def test_a_schedule_or_a_market_alone_leaves_the_site_its_own_master() -> None:
    own = parse(f'{SITE_TEXT}[[signal]]\nname = "s"\nkind = "schedule"\nfile = "plan.toml"\n').config
    assert not site_rules(own).grid_expected
    vtn = 'kind = "openadr3"\nurl = "http://127.0.0.1:1"\nven_name = "x"\nheartbeat_lost_s = 90.0\n'
    grid = parse(f'{SITE_TEXT}[[signal]]\nname = "s"\n{vtn}').config
    assert site_rules(grid).grid_expected
    assert site_rules(grid).signal_stale_s == 90.0
