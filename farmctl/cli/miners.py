"""`farmctl miners`: which machines, where, doing what."""

from __future__ import annotations

import sys
from typing import Any

import click

from farmctl.cli.asking import ClientVerb, Door, Wish, asking, order, ordering, rehearse
from farmctl.cli.exits import Exit
from farmctl.cli.giving import followed, give_some, pending
from farmctl.cli.output import FORMATS, object_option, print_object, print_rows, say
from farmctl.cli.until import both, end_of, ending
from farmctl.control.client import ControlClient, part
from farmctl.control.sizes import size_of

NARROW = ("id", "cont", "rack", "slot", "model", "state", "want", "w", "ths", "t", "age", "reason")
WIDE = (
    "id", "cont", "rack", "slot", "model", "fw", "circuit", "state", "want", "w", "want_w", "ths", "jth", "t", "age",
    "tier", "protected", "reason", "margin", "fan", "pool", "fault", "since", "phase",
)  # fmt: skip
PAGE = 2_000
IDS_AT_ONCE = 80


@click.group()
def miners() -> None:
    """List and describe miners."""


@miners.command("list", cls=ClientVerb)
@asking
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'state=fault model~S21 t>85 !cont=C041'.")
@click.argument("ids", nargs=-1)
@click.option("--sort-by", default="id", show_default=True, help="A column; -COLUMN for the greatest first.")
@click.option("--limit", type=click.IntRange(1), default=None, help="At most so many; default: all.")
@click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True,
)  # fmt: skip
def list_miners(
    *,
    door: Door,
    ids: tuple[str, ...],
    filters: tuple[str, ...],
    sort_by: str,
    limit: int | None,
    output: str,
) -> int:
    """All miners that fulfil the filter; IDS take globs, ranges such as C010..C019, and - for stdin."""
    client = door.client()
    rows: list[dict[str, Any]] = []
    for text in selections(ids, filters):
        rows += _fetched(client, text, sort_by, None if limit is None else limit - len(rows))
    if not rows:
        say("farmctl: no miner fits")
    print_rows(rows, WIDE if output in ("wide", "csv") else NARROW, "table" if output == "wide" else output)
    return 0


@miners.command("get", cls=ClientVerb)
@asking
@click.argument("miner")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml", "name"]), default="table")
def get_miner(*, door: Door, miner: str, output: str) -> int:
    """One miner: where it is, what it does, its operating points."""
    found = door.client().get(f"/v1/miners/{part(miner)}")
    if output == "name":
        click.echo(found["id"])
    elif output == "table":
        _show(found)
    else:
        print_object(found, output)
    return 0


@miners.command("describe", cls=ClientVerb)
@asking
@click.argument("miner")
@object_option
def describe_miner(*, door: Door, miner: str, output: str) -> int:
    """One miner with everything: place, readings, ladder, and why it is where it is."""
    from farmctl.cli.why import described  # noqa: PLC0415 - a verb of its own

    client = door.client()
    found, why = (client.get(f"/v1/miners/{part(miner)}{tail}") for tail in ("", "/why"))
    if output == "table":
        _show(found)
        click.echo(f"\n{described(why)}")
    else:
        print_object({**found, "why": {name: value for name, value in why.items() if name != "schema"}}, output)
    return 0


@miners.command("locate", cls=ClientVerb)
@asking
@ordering
@click.argument("ids", nargs=-1)
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'cont=C041 state=fault'.")
@click.option("--off", is_flag=True, help="Stop blinking.")
@object_option
def locate_miners(
    *, door: Door, wish: Wish, ids: tuple[str, ...], filters: tuple[str, ...], off: bool, output: str
) -> int:
    """Blink the lights of some miners, so that a person finds them."""
    return _by_hand(door, "locate", wish, selections(ids, filters), output, on=not off)


@miners.command("reboot", cls=ClientVerb)
@asking
@ordering
@click.argument("ids", nargs=-1)
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'cont=C041 state=fault'.")
@click.option("--confirm", "site", default="", help="The site's name, where much power is interrupted.")
@object_option
def reboot_miners(
    *, door: Door, wish: Wish, ids: tuple[str, ...], filters: tuple[str, ...], site: str, output: str
) -> int:
    """Restart the control boards of some miners; takes an engineer."""
    return _by_hand(door, "reboot", wish, selections(ids, filters), output, confirm=site)


@miners.command("set-power", cls=ClientVerb)
@asking
@ordering
@ending
@click.argument("ids", nargs=-1)
@click.option("-l", "--filter", "filters", multiple=True, help="Such as 'cont=C041 model~S19'.")
@click.option("--to", "--power", "to", required=True, help="The most that each may draw: 2.5kW, 2800W, 0W for sleep.")
@click.option("--confirm", "site", default="", help="The site's name, where the change is large.")
@object_option
def set_power(
    *,
    door: Door,
    wish: Wish,
    ids: tuple[str, ...],
    filters: tuple[str, ...],
    to: str,
    site: str,
    output: str,
    **ends_at: str | None,
) -> int:
    """Hold each of some miners at a power until a stated end: its highest operating point that draws no more.

    An override with your name, in `override list` too. The site's target stays: others make up for it.
    """
    if not (ids or filters):
        raise click.UsageError("expected miners: ids, globs, or -l FILTER")
    texts = selections(ids, filters)
    if len(texts) > 1:
        raise click.UsageError(f"expected at most {IDS_AT_ONCE} ids at a time; -l FILTER takes more miners")
    size = size_of(to)
    if size.percent:
        raise click.UsageError(f"--to {to}: expected a power such as 2.5kW; a share is of no one miner")
    client = door.client()
    state = client.get("/v1/state")
    ends = end_of(ends_at["for_text"], ends_at["until"], state["timezone"])
    power_w = round(size.watts(0.0), 1)
    wanted = {"power_w": power_w, "expires_at": ends.isoformat(timespec="seconds"), "confirm": site}
    words = f"Hold each of {texts[0]!r} at {power_w:g} W?", both(ends, state["timezone"])
    return give_some(client, "set_power", texts[0], wish, output, words, wanted)


def selections(ids: tuple[str, ...], filters: tuple[str, ...]) -> list[str]:
    """Filters that together mean what ids and filters say; many ids become several, for a filter has its length."""
    named = [word for each in ids for word in (sys.stdin.read().split() if each == "-" else [each])]
    text = " ".join(filters)
    if not named:
        return [text]
    return [f"id={','.join(named[at : at + IDS_AT_ONCE])} {text}".strip() for at in range(0, len(named), IDS_AT_ONCE)]


def _by_hand(door: Door, verb: str, wish: Wish, texts: list[str], output: str, **params: object) -> int:
    """One order for each filter."""
    if not any(texts):
        raise click.UsageError("expected miners: ids, globs, or -l FILTER")
    client, code = door.client(), int(Exit.OK)
    plans = [rehearse(client, verb, wish.reason, selector=text, **params) for text in texts]
    told = f"{verb}: {sum(plan['total'] for plan in plans)} miners, {sum(plan['power_kw'] for plan in plans):.1f} kW"
    if wish.dry_run:
        if output == "table":
            click.echo(told)
        else:
            print_object({"plans": plans}, output)
        return max(pending(plan, wish) for plan in plans)
    say(told)
    wish.consent(f"{told}?")
    for text in texts:
        answer = order(client, verb, wish.reason, selector=text, **params)
        code = max(code, followed(client, answer, wish, output))
    return code


def _fetched(client: ControlClient, text: str, sort_by: str, limit: int | None) -> list[dict[str, Any]]:
    """Page after page until there is enough."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while limit is None or len(rows) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(rows))
        page = client.get("/v1/miners", filter=text or None, sort=sort_by, limit=size, cursor=cursor)
        rows += page["rows"]
        cursor = page["cursor"]
        if cursor is None:
            break
    return rows


def _show(found: dict[str, Any]) -> None:
    for name in (*WIDE, "serial", "host", "driver", "owner", "tag", "commandable"):
        value = found[name]
        click.echo(f"{name:<12} {'-' if value in (None, '') else value}")
    wanted = found["wanted"]
    for point in found["ladder"]:
        mark = "wanted" if wanted is not None and point["step"] == wanted["step"] else ""
        figures = f"{point['setting']:<16} {point['power_w']:>6} W {point['hash_rate_ths']:>8.1f} TH/s"
        click.echo(f"step {point['step']:<7} {figures}  {mark}".rstrip())
