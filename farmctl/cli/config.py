"""`farmctl config`: check the configuration, and show what is in force and who set it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from farmctl.cli.asking import ClientVerb, Door, asking
from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, output_option, print_json, print_rows, say


@click.group()
def config() -> None:
    """View and validate the configuration."""


@config.command()
@config_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def validate(config_path: str | None, output: str) -> int:
    """Check the file, its conf.d, the environment, and every file it names; all faults at once, exit 2."""
    from farmctl.config.fault import ConfigFaultsError  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.config.load import load, search  # noqa: PLC0415 - see above
    from farmctl.config.parts import Known  # noqa: PLC0415 - see above
    from farmctl.config.unsigned import unsigned_sites  # noqa: PLC0415 - see above
    from farmctl.core.policies import POLICIES  # noqa: PLC0415 - see above
    from farmctl.wiring.drivers import driver_places  # noqa: PLC0415 - see above

    known = Known(drivers=frozenset(driver_places()), policies=frozenset(POLICIES))
    try:
        path = search(Path(config_path) if config_path else None, os.environ, Path.cwd())
        loaded = load(path, environment=os.environ, known=known)
    except ConfigFaultsError as error:
        if output != "json":
            raise
        faults = [{"file": f.file, "line": f.line, "key": f.key, "expected": f.expected} for f in error.faults]
        print_json({"ok": False, "files": [], "faults": faults, "sites_without_key": []})
        return Exit.USAGE
    files, keyless = [str(file) for file in loaded.files], unsigned_sites(loaded.config)
    if output == "json":
        print_json({"ok": True, "files": files, "faults": [], "sites_without_key": list(keyless)})
        return Exit.OK
    say(f"{', '.join(files)}: no fault")
    for site in keyless:
        say(f"site {site}: no key, so it is believed unsigned; its broker is on loopback")
    return Exit.OK


@config.command()
@config_option
@click.option("--show-origin", is_flag=True, help="Also the file and line, variable or default that set each key.")
@output_option
def view(config_path: str | None, output: str, *, show_origin: bool) -> int:
    """Show every key with the value in force, defaults included; secrets are never read, only their files named."""
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.config.view import settings  # noqa: PLC0415 - see above

    columns = ["key", "value", *(["origin"] if show_origin else [])]
    rows = [
        {"key": each.key, "value": each.value, "origin": str(each.origin)}
        for each in settings(configuration(config_path))
    ]
    print_rows([{column: row[column] for column in columns} for row in rows], columns, output)
    return Exit.OK


@config.command(cls=ClientVerb)
@asking
@output_option
def diff(door: Door, output: str) -> int:
    """Keys of the file that differ from what the running controller goes by: they count after a restart; exit 8."""
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.config.view import settings  # noqa: PLC0415 - see above

    running = {row["key"]: row["value"] for row in door.client().get("/v1/config")["rows"]}
    on_disk = {each.key: each.value for each in settings(configuration(door.config_path, door))}
    rows = [
        {"key": key, "running": running.get(key, ""), "file": on_disk.get(key, "")}
        for key in sorted(running.keys() | on_disk.keys())
        if running.get(key) != on_disk.get(key)
    ]
    print_rows(rows, ("key", "running", "file"), output)
    return Exit.PENDING if rows else Exit.OK


@config.command()
def schema() -> int:
    """Print the JSON schema of farm.toml, for editors."""
    from farmctl.config.schema.farm import schema_text  # noqa: PLC0415 - start-up of every verb would pay for it

    click.echo(schema_text(), nl=False)
    return Exit.OK


@config.command()
@config_option
@click.option("--runbooks", default=None, help="Where people read the runbooks; else what [metrics] says.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def rules(config_path: str | None, folder: Path, runbooks: str | None) -> int:
    """Write the rules of Prometheus into FOLDER, their runbook links pointing where this site's runbooks are."""
    from farmctl.cli.places import configuration  # noqa: PLC0415 - start-up of every verb would pay for it
    from farmctl.config.shipped import BOOKS_AT, shipped  # noqa: PLC0415 - see above

    at = f"{runbooks.rstrip('/')}/" if runbooks else configuration(config_path).config.metrics.runbooks
    folder.mkdir(parents=True, exist_ok=True)
    for file in shipped("prometheus/rules").iterdir():
        if file.name.endswith(".yml"):
            text = file.read_text(encoding="utf-8").replace(BOOKS_AT, at)
            (folder / file.name).write_text(text, encoding="utf-8")
            say(f"{folder / file.name}: runbooks at {at}")
    return Exit.OK
