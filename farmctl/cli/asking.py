"""What every verb that asks the controller shares: where its socket is, how an answer becomes an exit code."""

from __future__ import annotations

import functools
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from typing_extensions import override

from farmctl.cli.exits import Exit
from farmctl.cli.output import config_option, say
from farmctl.control.client import DEFAULT_SOCKET, TIMEOUT_S, ControlClient, ControllerRefusedError
from farmctl.control.sizes import SizeError, span_s
from farmctl.errors import ConfigError

EXIT_OF_STATUS: dict[int, Exit] = {
    400: Exit.USAGE,
    401: Exit.DENIED,
    403: Exit.DENIED,
    404: Exit.ERROR,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    503: Exit.UNREACHABLE,
}
"""OPERATIONS section 3; every other status is an error like any other."""


class ClientVerb(click.Command):
    """A verb whose refusals become the exit codes of OPERATIONS section 2."""

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run it; a refusal is one line on stderr."""
        try:
            return super().invoke(ctx)
        except ControllerRefusedError as error:
            say(f"farmctl: {error}")
            return int(EXIT_OF_STATUS.get(error.status, Exit.ERROR))
        except SizeError as error:
            raise click.UsageError(str(error), ctx) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the controller is to be found."""

    socket_path: str | None
    config_path: str | None
    context: str | None = None

    @property
    def is_named(self) -> bool:
        """Somebody said which controller is meant: by its socket or by a context."""
        return bool(self.socket_path or self.context or os.environ.get("FARMCTL_SOCKET"))

    def client(self, timeout_s: float = TIMEOUT_S) -> ControlClient:
        """The controller to ask: --socket, $FARMCTL_SOCKET, a context, the configuration's, the usual place.

        Raises ContextError for a context that is not there or cannot be read.
        """
        named = self.socket_path or (None if self.context else os.environ.get("FARMCTL_SOCKET"))
        if named:
            return ControlClient(named, timeout_s)
        from farmctl.cli.contexts import where_of  # noqa: PLC0415 - only who names no socket pays

        where = where_of(self.context, explicit=self.config_path is not None)
        return ControlClient(where or _configured(self.config_path), timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a change is asked for."""

    reason: str
    dry_run: bool
    yes: bool
    exit_code: bool = False
    """With a dry run: exit 8 where something would change."""
    wait_s: float | None = None
    """How long to wait until the order is carried out, as measured; None: not at all."""

    def consent(self, question: str) -> None:
        """Ask before an order; a no ends the verb. Raises UsageError where there is no terminal and no --yes."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError("without a terminal to ask on, expected --yes")
        click.confirm(question, default=False, abort=True, err=True)


def asking(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that name the controller; it gets them as `door`."""

    @functools.wraps(verb)
    def opened(*, socket_path: str | None, config_path: str | None, context: str | None, **rest: Any) -> Any:
        return verb(door=Door(socket_path=socket_path, config_path=config_path, context=context), **rest)

    opened = click.option("--context", help="A controller named in contexts.toml; else the one in use.")(opened)
    option = click.option("--socket", "socket_path", help="The controller's socket; else $FARMCTL_SOCKET, the config.")
    named: Callable[..., Any] = option(config_option(opened))
    return named


def ordering(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of everything that changes something; it gets them as `wish`."""

    @functools.wraps(verb)
    def wished(*, reason: str, dry_run: bool, yes: bool, wait: bool, timeout: str | None, **rest: Any) -> Any:
        exit_code = bool(rest.pop("exit_code"))
        if exit_code and not dry_run:
            raise click.UsageError("--exit-code is about --dry-run")
        if wait != (timeout is not None):
            raise click.UsageError("--wait and --timeout 60s go together")
        wait_s = None if timeout is None else span_s(timeout)
        return verb(wish=Wish(reason=reason, dry_run=dry_run, yes=yes, exit_code=exit_code, wait_s=wait_s), **rest)

    wished = click.option("--timeout", default=None, help="Longest wait with --wait: 60s, 5m.")(wished)
    wished = click.option("--wait", is_flag=True, help="Wait until it is carried out, as measured.")(wished)
    wished = click.option("--yes", is_flag=True, help="Do not ask.")(wished)
    wished = click.option("--exit-code", is_flag=True, help="With --dry-run: exit 8 where it would change something.")(
        wished
    )
    wished = click.option("--dry-run", is_flag=True, help="Say what would happen, do nothing.")(wished)
    return click.option("--reason", required=True, help="Why; it stands in the journal.")(wished)


def order(client: ControlClient, verb: str, reason: str, *, selector: str = "", **params: object) -> dict[str, Any]:
    """Give one order; a broken link may repeat it without harm."""
    body = {"verb": verb, "reason": reason, "selector": selector, "params": params}
    return client.post("/v1/commands", {**body, "idempotency_key": str(uuid.uuid4())})


def rehearse(client: ControlClient, verb: str, reason: str, *, selector: str = "", **params: object) -> dict[str, Any]:
    """What an order would do."""
    body = {"verb": verb, "reason": reason, "selector": selector, "params": params}
    plan: dict[str, Any] = client.post("/v1/commands", {**body, "dry_run": True})["plan"]
    return plan


def _configured(config_path: str | None) -> str:
    """The socket of the configuration; a machine without any configuration has it in the usual place."""
    from pathlib import Path  # noqa: PLC0415 - the configuration's models cost 0.2 s: only who needs them pays

    from farmctl.config.load import load, search  # noqa: PLC0415 - see above

    explicit = config_path or os.environ.get("FARMCTL_CONFIG")
    try:
        path = search(Path(explicit) if explicit else None, os.environ, Path.cwd())
    except ConfigError:
        return DEFAULT_SOCKET
    return str(load(path, environment=os.environ).config.api.socket)
