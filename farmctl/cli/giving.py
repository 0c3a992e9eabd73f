"""How every verb gives an order: rehearse, show, ask, order, and wait if that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from farmctl.cli.asking import Wish, order, rehearse
from farmctl.cli.exits import Exit
from farmctl.cli.jobs import wait_for
from farmctl.cli.output import print_object, say
from farmctl.cli.plan import described
from farmctl.control.client import ControlClient


def give(
    client: ControlClient, verb: str, wish: Wish, output: str, question: str, *, after: str = "", **params: object
) -> int:
    """Give an order about power; `after` is said below its plan, `confirm` goes along only when it is given."""
    return give_some(client, verb, "", wish, output, (question, after), params)


def give_some(
    client: ControlClient,
    verb: str,
    selector: str,
    wish: Wish,
    output: str,
    words: tuple[str, str],
    params: Mapping[str, object],
) -> int:
    """The same about some miners; `words` are the question, and what is said below the plan."""
    question, after = words
    rehearsed = {name: value for name, value in params.items() if name != "confirm"}
    plan = rehearse(client, verb, wish.reason, selector=selector, **rehearsed)
    told = described(plan) + (f"\n{after}" if after else "")
    if wish.dry_run:
        if output == "table":
            click.echo(told)
        else:
            print_object({"plan": plan, **rehearsed}, output)
        return pending(plan, wish)
    say(told)
    wish.consent(question)
    answer = order(client, verb, wish.reason, selector=selector, **params)
    return followed(client, answer, wish, output, **rehearsed)


def followed(client: ControlClient, answer: dict[str, Any], wish: Wish, output: str, **more: object) -> int:
    """Wait for an order that was taken, or say how to."""
    if answer.get("armed") is False:
        say("farmctl: this controller only OBSERVES: the order stands, and nothing is sent to any miner")
    if wish.wait_s is not None:
        return wait_for(client, answer["job"], wish.wait_s, output)
    if output == "table":
        named = f"{answer['override']} is set; " if "override" in answer else ""
        click.echo(f"{named}taken as {answer['job']}; farmctl jobs get {answer['job']} shows how far it is")
    else:
        print_object({**answer, **more}, output)
    return Exit.OK


def pending(plan: dict[str, Any], wish: Wish) -> int:
    """Exit code of a rehearsal."""
    moves = plan.get("lowered", 0) + plan.get("raised", 0) + plan.get("total", 0)
    return Exit.PENDING if wish.exit_code and moves else Exit.OK
