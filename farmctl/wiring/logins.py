"""Which miners still have the password that everybody knows; what `farmctl doctor` tells of logins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from farmctl.config.schema import CredentialsTable
from farmctl.core.model import MinerId
from farmctl.ports.devices import Credentials, Driver, ShipsWithLogin
from farmctl.ports.store import InventoryRow
from farmctl.wiring.fleet import login_of


def factory_logins(
    entries: Iterable[CredentialsTable], rows: Iterable[InventoryRow], drivers: Mapping[str, Driver]
) -> dict[MinerId, str]:
    """Miner -> why its login is the factory's: no entry fits it, or the entry has the factory's own password.

    Machines without any password (AxeOS, Avalon, LuxOS) are left out. Never says a password. Raises SecretFileError.
    """
    tables = tuple(entries)
    found: dict[MinerId, str] = {}
    for row in rows:
        driver = drivers.get(row.driver)
        if driver is None or not isinstance(driver, ShipsWithLogin):
            continue
        login = login_of(tables, row)
        if login == Credentials():
            found[row.miner_id] = f"no [[credentials]] fits it: the factory's password of {row.driver} is used"
        elif login.password == driver.factory.password:
            found[row.miner_id] = f"its [[credentials]] has the factory's password of {row.driver}"
    return found
