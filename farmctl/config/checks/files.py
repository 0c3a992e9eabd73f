"""Files that the configuration names: there, readable, and secrets closed to others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from farmctl.config.fault import Fault, KeyPath
from farmctl.config.parts import Parts, Places
from farmctl.config.schema.kinds import CREDENTIALS_DIR, Table
from farmctl.config.schema.sources import PriceTable

PLAIN_FILES = ("ca_file", "cert_file", "tls_cert")
SECRET_FILES = (
    "password_file", "key_file", "signing_key_file", "client_secret_file", "token_file", "secret_file", "urls_file",
    "tls_key", "dsn_file",
)  # fmt: skip
SECRET_MODE = 0o600


def file_faults(parts: Parts, places: Places) -> Iterator[Fault]:
    """A fault for every file that is missing, unreadable, empty, or a secret that others may read."""
    tables: list[tuple[KeyPath, Table]] = [(("signal", n), table) for n, table in parts.signals.items()]
    tables += [(("metrics",), parts.metrics)] if parts.metrics is not None else []
    tables += [(("credentials", n), table) for n, table in parts.credentials.items()]
    tables += [(("notify", n), table) for n, table in parts.notify.items()]
    tables += [(("api",), parts.api)] if parts.api is not None else []
    tables += [(("store",), parts.store)] if parts.store is not None else []
    units = parts.programme.site if parts.programme is not None else ()
    tables += [(("programme", "site", n), unit) for n, unit in enumerate(units)]
    tables += [
        (("signal", n, "feeds", place), feed)
        for n, table in parts.signals.items()
        if isinstance(table, PriceTable)
        for place, feed in enumerate(table.feeds)
    ]
    for here, table in tables:
        for key in (*PLAIN_FILES, *SECRET_FILES):
            path = getattr(table, key, None)
            if isinstance(path, Path):
                secret = key in SECRET_FILES and places.get(CREDENTIALS_DIR) not in path.parents
                wrong = _wrong_with(path, SECRET_MODE if secret else None)
                if wrong:
                    yield parts.document.fault((*here, key), wrong)


def _wrong_with(path: Path, widest: int | None) -> str:
    """What is wrong with a file, or nothing; systemd's credentials come without a widest mode."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        return f"expected a file at {str(path)!r}: {getattr(error, 'strerror', None) or 'no such path'}"
    if not stat.S_ISREG(found.st_mode):
        return f"expected a regular file at {str(path)!r}"
    mode = stat.S_IMODE(found.st_mode)
    if widest is not None and mode & ~widest:
        return f"expected mode {widest:04o} or narrower, {str(path)!r} has {mode:04o}"
    if not os.access(path, os.R_OK):
        return f"expected a file that this user may read at {str(path)!r}"
    return "" if found.st_size else f"expected something in {str(path)!r}, it is empty"
