"""Orders typed at the command line, in the words of the CLI."""

from __future__ import annotations

import shlex
from dataclasses import replace

from farmctl.tui.orders import Draft, OrderTextError

COMMANDS = (
    "curtail --to 20MW --for 90m --reason ",
    "override set --to 20MW --for 90m --reason ",
    "override set C001 --to 0MW --for 30m --reason ",
    "override release ",
    "stop-all --reason ",
    "resume --reason ",
    "maintenance on --container ",
    "maintenance off --container ",
    "emergency release --reason ",
    "lease take --for 1h --reason ",
    "lease release --reason ",
    "miners set-power -l ",
    "miners locate -l ",
    "miners reboot -l ",
    "miners list -l ",
    "why ",
    "alarms list",
    "events list",
    "jobs list",
    "circuits list",
    "sites list",
    "replay ",
    "view ",
    "theme hmi-light",
    "theme hmi-dark",
    "status",
    "quit",
)
"""What the command line completes."""
_OPTIONS = {"to", "power", "for", "reason", "confirm", "filter", "l", "container"}
_FLAGS = {"off"}
_EXPECTED = "--to, --for, --reason, --container, -l or --off"


def drafted(text: str) -> Draft:
    """An order as it was typed. Raises OrderTextError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise OrderTextError(f"command {text!r}: {error}") from None
    plain, options = _split(words)
    to, lasting = options.get("to", ""), options.get("for", "1h")
    match plain:
        case ["curtail"] | ["override"] | ["override", "set", *_] if len(plain) <= len(("override", "set", "C001")):
            draft = Draft(verb="override_set", circuit=" ".join(plain[2:]), to=to, lasting=lasting)
        case ["override", "release", override_id]:
            draft = Draft(verb="override_release", override_id=override_id)
        case ["stop-all" | "resume" as verb]:
            draft = Draft(verb=verb.replace("-", "_"))
        case ["miners", "locate" | "reboot" as verb, *ids] if ids or options.get("l"):
            draft = Draft(verb=verb, selector=_selector(ids, options.get("l", "")), on="off" not in options)
        case ["miners", "set-power", *ids] if ids or options.get("l"):
            draft = Draft(verb="set_power", selector=_selector(ids, options.get("l", "")), to=to, lasting=lasting)
        case ["maintenance", "on" | "off" as switch]:
            draft = Draft(verb="maintenance", on=switch == "on", container=options.get("container", ""))
        case ["emergency" | "lease" as what, "release" | "take" as verb] if (what, verb) != ("emergency", "take"):
            draft = Draft(verb=f"{what}_{verb}", lasting=lasting if verb == "take" else "")
        case _:
            raise OrderTextError(f"command {text!r}: expected one of {', '.join(_verbs())}; tab completes them")
    return replace(draft, reason=options.get("reason", ""))


def _verbs() -> list[str]:
    """What may stand at the beginning, once each."""
    return list(dict.fromkeys(line.split()[0] for line in COMMANDS))


def _selector(ids: list[str], text: str) -> str:
    return f"id={','.join(ids)} {text}".strip() if ids else text


def _split(words: list[str]) -> tuple[list[str], dict[str, str]]:
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, _, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif name in _FLAGS:
            options[name] = "yes"
        elif name in _OPTIONS:
            options[{"power": "to", "filter": "l"}.get(name, name)] = value or next(rest, "")
        else:
            raise OrderTextError(f"option {word!r}: expected {_EXPECTED}")
    return plain, options
