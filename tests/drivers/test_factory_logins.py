from __future__ import annotations

from pathlib import Path

from farmctl.config.schema import CredentialsTable
from farmctl.core.model import MinerId
from farmctl.ports.devices import Credentials, PoolLogin, ShipsWithLogin
from farmctl.ports.store import InventoryRow
from farmctl.wiring.drivers import load_drivers
from farmctl.wiring.logins import factory_logins

WITH_LOGIN = {"whatsminer", "whatsminer_v3", "antminer", "braiins", "vnish", "epic", "auradine"}
SECRET = "correct horse"  # noqa: S105 - of this test


def row(number: int, driver: str, model: str = "") -> InventoryRow:
    return InventoryRow(
        miner_id=MinerId(f"02:{number:02x}"), host=f"10.0.0.{number}", ports={}, driver=driver, model=model
    )


def test_the_drivers_with_a_factory_password_say_so() -> None:
    drivers = load_drivers()
    assert {name for name, driver in drivers.items() if isinstance(driver, ShipsWithLogin)} == WITH_LOGIN


def test_default_passwords_are_reported_and_never_said(tmp_path: Path) -> None:
    (tmp_path / "own").write_text(SECRET)
    (tmp_path / "factory").write_text("root\n")
    entries = [
        CredentialsTable(driver="antminer", selector="model=*S21*", password_file=tmp_path / "own"),
        CredentialsTable(driver="antminer", selector="model=*S19*", password_file=tmp_path / "factory"),
    ]
    rows = [
        row(1, "antminer", "Antminer S21"),
        row(2, "antminer", "Antminer S19"),
        row(3, "whatsminer"),
        row(4, "bitaxe"),
        row(5, "luxos"),
    ]
    found = factory_logins(entries, rows, load_drivers())
    assert set(found) == {MinerId("02:02"), MinerId("02:03")}
    assert "has the factory's password" in found[MinerId("02:02")]
    assert "no [[credentials]] fits" in found[MinerId("02:03")]
    assert SECRET not in repr(found)


def test_a_password_is_in_no_repr() -> None:
    assert SECRET not in repr(Credentials(user="root", password=SECRET))
    assert SECRET not in repr(PoolLogin(url="u", user="w", password=SECRET))
