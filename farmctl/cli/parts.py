"""`farmctl containers`, `racks`, `circuits` and `meters`: parts of the site, listed or one by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import cell, object_option, output_option, print_object, print_rows
from farmctl.control.client import ControllerRefusedError

_SUMMED = ("name", "miners", "hashing", "throttled", "curtailed", "fault", "offline", "power_kw", "hash_rate_ths",
           "hottest_c", "maintenance")  # fmt: skip


def _group(what: str, about: str, columns: Sequence[str]) -> click.Group:
    """`list` and `get` for one kind of part."""

    @click.group(name=what, help=about)
    def group() -> None:
        pass

    @group.command("list", cls=ClientVerb, help=f"Every one, or those whose name fits a glob: {what} list 'C0*'.")
    @asking
    @click.argument("names", nargs=-1)
    @output_option
    def listed(*, door: Door, names: tuple[str, ...], output: str) -> int:
        rows = door.client().get(f"/v1/{what}")["rows"]
        chosen = [row for row in rows if not names or any(fnmatchcase(row["name"], name) for name in names)]
        print_rows(chosen, columns, output)
        return Exit.OK

    @group.command("get", cls=ClientVerb, help="One by its name.")
    @asking
    @click.argument("name")
    @object_option
    def got(*, door: Door, name: str, output: str) -> int:
        rows = door.client().get(f"/v1/{what}")["rows"]
        row = next((row for row in rows if row["name"] == name), None)
        if row is None:
            raise ControllerRefusedError(
                404, "not_found", f"{name}: the site has none of that name", hint=f"farmctl {what} list -o name"
            )
        if output == "table":
            for field, value in row.items():
                click.echo(f"{field:<14} {cell(value)}")
        else:
            print_object(row, output)
        return Exit.OK

    del listed, got
    return group


containers = _group("containers", "Containers summed up.", _SUMMED)
racks = _group("racks", "Racks summed up, as CONTAINER/RACK.", _SUMMED)
circuits = _group(
    "circuits", "The limit tree: loads and ratings.",
    ("name", "parent", "rating_kw", "load_kw", "planned_kw", "meter_kw", "miners"),
)  # fmt: skip
meters = _group("meters", "Meters: value, quality, age.", ("name", "power_kw", "quality", "age_s", "used_kw", "used"))
sites = _group(
    "sites", "Headquarters: sites, what each is told, and why.",
    ("name", "mode", "power_kw", "share_kw", "deviation_kw", "why", "link_age_s", "rated_kw"),
)  # fmt: skip
