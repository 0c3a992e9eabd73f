"""The command line: one file per group of verbs, imported only when its verb is called."""

from __future__ import annotations

import importlib
import sys

import click
from typing_extensions import override

from farmctl import __version__
from farmctl.cli.exits import Exit, exit_of
from farmctl.errors import FarmError

VERBS: dict[str, tuple[str, str]] = {
    "alarms": ("farmctl.cli.alarms:alarms", "List, acknowledge and shelve alarms."),
    "audit": ("farmctl.cli.events:audit", "Who did what, why, and what came of it."),
    "check": ("farmctl.cli.status:check", "Nagios-style health: 0 ok, 1 warning, 2 critical, 3 unknown."),
    "circuits": ("farmctl.cli.parts:circuits", "The limit tree: loads and ratings."),
    "completion": ("farmctl.cli.completion:completion", "Completion for bash, zsh or fish."),
    "config": ("farmctl.cli.config:config", "View and validate the configuration."),
    "containers": ("farmctl.cli.parts:containers", "Containers summed up."),
    "context": ("farmctl.cli.contexts:context", "Name controllers and choose one."),
    "curtail": ("farmctl.cli.curtail:curtail", "Lower the site for a while."),
    "deadman": ("farmctl.cli.deadman:deadman", "Lower the fleet to the firm level when the controller is gone."),
    "demo": ("farmctl.cli.demo:demo", "Run a simulated farm that follows the grid."),
    "doctor": ("farmctl.cli.doctor:doctor", "What is wrong here, and how to mend it."),
    "emergency": ("farmctl.cli.lease:emergency", "Release a latched EMERGENCY."),
    "events": ("farmctl.cli.events:events", "List and show grid events."),
    "facts": ("farmctl.cli.facts:facts", "Ask the miners themselves: firmware, boards, fans, pools, errors."),
    "grid": ("farmctl.cli.grid:grid", "Speak to a site as its grid operator: send, watch, certify."),
    "help": ("farmctl.cli.help:help_group", "Topics: exit-codes."),
    "history": ("farmctl.cli.history:history", "Lines over time of the site, a container, an owner or a miner."),
    "hold": ("farmctl.cli.curtail:hold", "Keep the site where it is now."),
    "hq": ("farmctl.cli.hq:hq", "Run headquarters: one figure split over many sites."),
    "init": ("farmctl.cli.init:init", "Write a first farm.toml."),
    "inventory": ("farmctl.cli.inventory:inventory", "Import and export the miners."),
    "jobs": ("farmctl.cli.jobs:jobs", "How far an order has got."),
    "journal": ("farmctl.cli.journal:journal", "Read and verify the journal."),
    "keys": ("farmctl.cli.keys:keys", "Make, list, rotate and revoke signing keys."),
    "lease": ("farmctl.cli.lease:lease", "Who steers by hand."),
    "maintenance": ("farmctl.cli.lease:maintenance", "Forbid or permit automatic starts."),
    "meters": ("farmctl.cli.parts:meters", "Meters: value, quality, age."),
    "miners": ("farmctl.cli.miners:miners", "List and describe miners."),
    "mode": ("farmctl.cli.curtail:mode", "Manual or automatic."),
    "runbook": ("farmctl.cli.runbook:runbook", "What to do about an alarm."),
    "notify": ("farmctl.cli.notify:notify", "Try the channels of notifications."),
    "override": ("farmctl.cli.override:override", "Set, release and list manual overrides."),
    "plan": ("farmctl.cli.plan:plan", "What a target would do, without doing it."),
    "pools": ("farmctl.cli.pools:pools", "Show the pools of miners, and change them."),
    "racks": ("farmctl.cli.parts:racks", "Racks summed up."),
    "replay": ("farmctl.cli.replay:replay", "Prove that recorded inputs lead to the recorded decisions."),
    "report": ("farmctl.cli.report:report", "What an event, a day or a month came to, from the journal."),
    "resume": ("farmctl.cli.stop:resume", "Release stop-all."),
    "run": ("farmctl.cli.run:run", "Run the controller of a site."),
    "scan": ("farmctl.cli.scan:scan", "Find miners in address ranges."),
    "simulate": ("farmctl.cli.simulate:simulate", "A day of signals through the real core, in virtual time."),
    "sites": ("farmctl.cli.parts:sites", "Headquarters: sites, what each is told, and why."),
    "status": ("farmctl.cli.status:status", "One screen: are we where the grid wants us?"),
    "stop-all": ("farmctl.cli.stop:stop_all", "Put every miner of the site to sleep."),
    "store": ("farmctl.cli.store:store", "Migrate the store, or copy it to PostgreSQL and back."),
    "support-bundle": ("farmctl.cli.bundle:support_bundle", "Everything a maintainer needs, without secrets."),
    "token": ("farmctl.cli.token:token", "Make, list and revoke tokens of the API over TCP."),
    "tui": ("farmctl.cli.tui:tui", "Watch the site at a terminal, and act on it."),
    "version": ("farmctl.cli.help:version", "The version of this program."),
    "why": ("farmctl.cli.why:why", "Why a miner is where it is."),
}
"""Verb -> (where it lives, one line of help); the help needs no import, so `--help` is quick."""


class LazyVerbs(click.Group):
    """A group that imports a verb when it is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all verbs."""
        return sorted(VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is meant; a slip of the finger is answered with the verb that is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes pays

            near = get_close_matches(args[0], VERBS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.format_message()} Did you mean {near[0]}?", ctx) from None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name][1]) for name in sorted(VERBS)])


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="farmctl")
def cli() -> None:
    """Run a Bitcoin-ASIC farm as a dispatchable electrical load."""


def main() -> None:
    """Entry point: errors become one message on stderr and an exit code that scripts can rely on."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(Exit.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FarmError as error:
        click.echo(f"farmctl: {error}{_next_step(error)}", err=True)
        sys.exit(exit_of(error))
    except OSError as error:
        # a file that a verb was given: the folder is missing, it is there already, the disk is full
        named = f"{error.filename}: " if error.filename else ""
        click.echo(f"farmctl: {named}{error.strerror or error}", err=True)
        sys.exit(Exit.ERROR)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    sys.exit(code if isinstance(code, int) else Exit.OK)


def _next_step(error: FarmError) -> str:
    """What to do about a controller that is not there."""
    from farmctl.control.client import ControllerSilentError  # noqa: PLC0415 - stdlib, but 20 ms of it

    if not isinstance(error, ControllerSilentError):
        return ""
    return "\nfarmctl: farmctl doctor says what is wrong; --config, --socket or --context name another controller"
