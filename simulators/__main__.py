"""farmsim: runs a simulated farm, writes descriptions of one, and carries the other simulators."""

from __future__ import annotations

import importlib
import importlib.util

import click
from typing_extensions import override

LAZY = {
    "broker": "simulators.broker:main",
    "grid": "simulators.grid:main",
    "meter": "simulators.meter:main",
    "proxy": "simulators.proxy.app:main",
    "run": "simulators.serve:main",
    "vtn": "simulators.vtn.__main__:main",
    "world": "simulators.describe:main",
}
"""Commands: name -> "module:attribute", imported when called: a broker has no use for ten protocols of miners."""


class LazyGroup(click.Group):
    """A group whose LAZY commands are imported only when they are asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that can be called."""
        found = [name for name, where in LAZY.items() if _is_there(where.partition(":")[0])]
        return sorted([*super().list_commands(ctx), *found])

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, importing it if it is a lazy one."""
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = LAZY[cmd_name].partition(":")
        if not _is_there(module):
            return None
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup)
def main() -> None:
    """Simulate a Bitcoin-ASIC farm on real sockets."""


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    main()
