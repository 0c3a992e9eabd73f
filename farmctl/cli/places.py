"""Where the offline verbs find things: the configuration in force, the journal beside it, names they may compare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from farmctl.cli.asking import Door
from farmctl.errors import FarmError, RefusedError

if TYPE_CHECKING:
    # The verbs that need these import them when they are called: click alone is what `--help` pays for.
    from farmctl.config.load import Loaded
    from farmctl.ports.store import InventoryRow
    from farmctl.store.places import Place
    from farmctl.store.sqlstore import SqlStore


JOURNAL = "journal.db"
"""As in farmctl.wiring.stores, whose import costs the whole engine; a test holds the two together."""


class InTheWayError(RefusedError):
    """A file is there already."""


def configuration(config_path: str | None, door: Door | None = None) -> Loaded:
    """The configuration in force; raises ConfigFaultsError with every fault, or with where it was looked for.

    Where none is found but a controller is named (--socket, --context, $FARMCTL_SOCKET), it is that controller's.
    """
    from farmctl.config.fault import ConfigFaultsError  # noqa: PLC0415 - pydantic; see above
    from farmctl.config.load import load, search  # noqa: PLC0415 - pydantic; see above

    try:
        path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
    except ConfigFaultsError:
        told = _of_controller(door or Door(socket_path=None, config_path=None))
        if told is None:
            raise
        path = told
    return load(path, environment=os.environ)


def _of_controller(door: Door) -> Path | None:
    """The file that the controller behind a named door has read; None where it is not to be had or not of this host."""
    if not door.is_named:
        return None
    try:
        files = door.client().get("/v1/config").get("files", [])
    except FarmError:
        return None
    return next((Path(file) for file in files[:1] if Path(file).is_file()), None)


def journal_of(loaded: Loaded) -> Place:
    """The file or the database that holds a site's journal and inventory; raises SecretFileError."""
    if loaded.config.store.kind == "sqlite":
        return loaded.config.store.dir / JOURNAL
    from farmctl.wiring.stores import place_of  # noqa: PLC0415 - see above

    return place_of(loaded.config)


async def owned(journal: Place) -> SqlStore:
    """Open a site's store to write, making its folder where there is none yet.

    Raises OwnedElsewhereError while a controller runs on its file, StoreError where the disk is not fit.
    """
    import asyncio  # noqa: PLC0415 - see above

    from farmctl.errors import StoreError  # noqa: PLC0415 - see above
    from farmctl.store.places import open_store  # noqa: PLC0415 - see above

    if isinstance(journal, Path):
        try:
            await asyncio.to_thread(journal.parent.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{journal.parent}: expected a folder that can be made: {error.strerror}") from error
    return await open_store(journal)


def write_new(path: Path, text: str, *, force: bool = False) -> None:
    """Write a whole file or nothing; raises InTheWayError where one is there and `force` is not meant."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        if force:
            beside.replace(path)
        else:
            os.link(beside, path)
    except FileExistsError:
        raise InTheWayError(f"{path} is there already: expected a new file") from None
    except OSError as error:
        raise RefusedError(f"{path}: expected a file that can be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


async def known_miners(journal: Place) -> tuple[InventoryRow, ...]:
    """The inventory as it is, without the right to write; none where there is no store yet."""
    import asyncio  # noqa: PLC0415 - see above

    from farmctl.store.places import open_reader  # noqa: PLC0415 - see above

    if isinstance(journal, Path) and not await asyncio.to_thread(journal.exists):
        return ()
    reader = await open_reader(journal)
    try:
        return await reader.inventory()
    finally:
        await reader.close()


async def noted(store: SqlStore, verb: str, reason: str = "", **miners: Sequence[str]) -> None:
    """Journal who changed the inventory with which verb, why, and which miners; nothing where none changed."""
    import getpass  # noqa: PLC0415 - see above
    import time  # noqa: PLC0415 - see above

    from farmctl.ports.store import JournalRecord, RecordKind  # noqa: PLC0415 - see above

    if not any(miners.values()):
        return
    body = {"what": "inventory", "verb": verb, "owner": getpass.getuser(), **{k: list(v) for k, v in miners.items()}}
    if reason:
        body["reason"] = reason
    await store.append([JournalRecord(kind=RecordKind.CONFIG, at_ms=int(time.time() * 1000), body=body)])
