"""Typing verbs at a controller: in this process, on a pseudo-terminal, and where no controller is left."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from farmctl.cli import cli
from farmctl.cli.exits import exit_of
from farmctl.core.model import MinerId
from farmctl.errors import FarmError
from farmctl.ports.store import InventoryRow
from farmctl.store.sqlite import open_sqlite


@dataclass(frozen=True, kw_only=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema"] == "farmctl/v1"
        return found


class Shell:
    """Types verbs at one controller."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path

    async def __call__(self, *words: str, typed: str | None = None) -> Said:
        return await asyncio.to_thread(self.now, *words, typed=typed)

    def now(self, *words: str, typed: str | None = None) -> Said:
        environment = {"FARMCTL_SOCKET": str(self.socket_path)}
        result = CliRunner().invoke(cli, list(words), input=typed, env=environment, standalone_mode=False)
        code = result.return_value if isinstance(result.return_value, int) else 0
        if isinstance(result.exception, FarmError):
            code = exit_of(result.exception)
        elif result.exception is not None:
            code = getattr(result.exception, "exit_code", -1)
            assert code >= 0, result.exception
        return Said(code=int(code), out=result.stdout, err=f"{result.stderr}{result.exception or ''}")


async def dead_site(folder: Path, miners: int) -> Path:
    """A configuration and an inventory of machines where nobody listens."""
    config = folder / "farm.toml"
    config.write_text(
        f'[site]\nname = "demo"\nrated_kw = 100.0\n[store]\ndir = "{folder}"\n[api]\nsocket = "{folder}/none.sock"\n'
        '[[circuit]]\nname = "site"\nrating_kw = 100.0\n'
    )
    store = await open_sqlite(folder / "journal.db")
    rows = [
        InventoryRow(
            miner_id=MinerId(f"02:00:00:00:00:{n:02x}"), host="127.0.0.1", ports={"http": 1, "api": 1},
            driver="antminer", model="Antminer S19", circuit="site",
        )
        for n in range(miners)
    ]  # fmt: skip
    await store.put_inventory(rows)
    await store.close()
    return config


def on_a_terminal(*words: str, typed: str = "", **environment: str) -> tuple[int, str]:
    """Run the program on a pseudo-terminal; its exit code and everything that was on the screen."""
    ours, theirs = os.openpty()
    program = [sys.executable, "-m", "farmctl", *words]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
    ) as child:  # fmt: skip
        os.close(theirs)
        os.write(ours, typed.encode())
        screen = b""
        while True:
            try:
                screen += os.read(ours, 65_536)
            except OSError:  # Linux: EIO when the last writer has gone
                break
        code = child.wait(timeout=30)
    os.close(ours)
    return code, screen.decode()
