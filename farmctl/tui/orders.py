"""Orders as the glass drafts them: what goes to the controller, and the CLI line that does the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from farmctl.core.units import MS_PER_S
from farmctl.errors import RefusedError
from farmctl.ports.feed import FleetImage
from farmctl.tui.words import megawatts, span

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(MW|kW|W|%)", re.IGNORECASE)
_SPAN = re.compile(r"([0-9]+)\s*([smhd])")
_KW = {"mw": 1_000.0, "kw": 1.0, "w": 0.001}
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
TITLES = {
    "override_set": "Hold at a power",
    "override_release": "Release an override",
    "stop_all": "Put every miner of the site to sleep",
    "resume": "Release stop-all",
}


class OrderTextError(RefusedError):
    """A size, a span or a command that cannot be read; says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order that nobody has sent yet."""

    verb: str
    to: str = ""
    """A size: `20MW`, `85%` of the rated power."""
    lasting: str = ""
    """A span: `90m`."""
    circuit: str = ""
    """What is held, such as a container; empty: the whole site."""
    override_id: str = ""
    reason: str = ""
    confirm: str = ""
    """The site's name, where the change is large."""

    @property
    def title(self) -> str:
        """What it is, for people."""
        if self.verb == "override_set":
            what = self.circuit or "the whole site"
            return f"Stop {what} for a time" if re.fullmatch(r"0\s*(MW|kW|W|%)", self.to) else f"Hold {what} at a power"
        return " ".join((TITLES[self.verb], self.override_id)).strip()

    @property
    def command(self) -> str:
        """The CLI line that does the same."""
        words = ["farmctl", *self._verb_words(), "--reason", shlex.quote(self.reason)]
        if self.confirm:
            words += ["--confirm", shlex.quote(self.confirm)]
        return " ".join(words)

    def _verb_words(self) -> list[str]:
        match self.verb:
            case "override_set":
                circuit = [shlex.quote(self.circuit)] if self.circuit else []
                return ["override", "set", *circuit, "--to", shlex.quote(self.to), "--for", shlex.quote(self.lasting)]
            case "override_release":
                return ["override", "release", shlex.quote(self.override_id)]
            case verb:
                return [verb.replace("_", "-")]

    def params(self, image: FleetImage) -> dict[str, object]:
        """What the controller takes. Raises OrderTextError."""
        confirm: dict[str, object] = {"confirm": self.confirm} if self.confirm else {}
        match self.verb:
            case "override_set":
                ends = datetime.fromtimestamp(image.at_ms / MS_PER_S, tz=UTC) + timedelta(seconds=seconds(self.lasting))
                target = kilowatts(self.to, _rated_kw(self.circuit, image))
                circuit: dict[str, object] = {"circuit": self.circuit} if self.circuit else {}
                return {"target_kw": target, "expires_at": ends.isoformat(timespec="seconds"), **circuit, **confirm}
            case "override_release":
                return {"id": self.override_id, **confirm}
            case "resume":
                return confirm
            case _:
                return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order would do, in lines, and what must be typed before it is sent."""

    lines: tuple[str, ...]
    confirm: str
    """Empty: nothing need be typed."""
    rev: int | None


def _rated_kw(circuit: str, image: FleetImage) -> float:
    """What a share is of. Raises OrderTextError for a circuit that the site has not."""
    if not circuit:
        return image.strip.rated_kw
    node = next((node for node in image.circuits if node.name == circuit), None)
    if node is None:
        raise OrderTextError(f"circuit {circuit!r}: the site has no such circuit")
    return image.strip.rated_kw if node.rating_kw is None else node.rating_kw


def kilowatts(text: str, rated_kw: float) -> float:
    """A size with its unit. Raises OrderTextError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise OrderTextError(f"power {text!r}: expected a number with MW, kW, W or %, such as 20MW")
    number, unit = float(match[1]), match[2].lower()
    return rated_kw * number / 100 if unit == "%" else number * _KW[unit]


def seconds(text: str) -> int:
    """A span with its unit. Raises OrderTextError."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise OrderTextError(f"time {text!r}: expected a number with s, m, h or d, such as 90m")
    return int(match[1]) * _SECONDS[match[2]]


def body(draft: Draft, image: FleetImage) -> dict[str, object]:
    """The body of POST /v1/commands without key and revision. Raises OrderTextError."""
    return {"verb": draft.verb, "reason": draft.reason.strip() or "preview", "params": draft.params(image)}


def previewed(plan: Mapping[str, object]) -> Preview:
    """Read a plan as the controller tells it."""
    moves = ("lowered", "raised", "put_to_sleep", "woken")
    counts = ", ".join(f"{plan.get(key, 0)} {key.replace('_', ' ')}" for key in moves)
    lines = [*_circuit_lines(plan.get("circuit"))]
    now_kw, planned_kw = plan.get("power_kw"), plan.get("planned_kw")
    change_kw = None
    if isinstance(now_kw, int | float) and isinstance(planned_kw, int | float):
        change_kw = float(planned_kw) - float(now_kw)
    lines += [
        f"site    {_mw(plan, 'power_kw')} -> {_mw(plan, 'planned_kw')} MW  ({megawatts(change_kw, sign='+')} MW)",
        f"target  {_mw(plan, 'target_kw')} MW, limit {_mw(plan, 'limit_kw')} MW ({plan.get('limit_reason', '')})",
        f"miners  {counts}",
        f"time    {_time(plan.get('seconds'))}",
    ]
    shortfall = plan.get("shortfall_kw")
    if isinstance(shortfall, int | float) and shortfall > 0:
        lines.append(f"SHORT   {megawatts(float(shortfall))} MW cannot be reached: {plan.get('reason_help', '')}")
    left = plan.get("left_out")
    lines.extend(
        f"without {row['miners']} miners, {megawatts(float(row['kw']))} MW: {row['reason']} ({row['help']})"
        for row in (left if isinstance(left, list) else [])
    )
    rev = plan.get("rev")
    return Preview(
        lines=tuple(lines), confirm=str(plan.get("confirm") or ""), rev=rev if isinstance(rev, int) else None
    )


def _circuit_lines(told: object) -> Iterator[str]:
    """Of an order about one circuit: its own power first."""
    if isinstance(told, Mapping):
        now_kw, planned_kw = float(told["power_kw"]), float(told["planned_kw"])
        change = megawatts(planned_kw - now_kw, sign="+")
        yield f"{told['name']:<7} {megawatts(now_kw)} -> {megawatts(planned_kw)} MW  ({change} MW)"


def drafted(text: str) -> Draft:
    """An order typed at the command line, in the words of the CLI. Raises OrderTextError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise OrderTextError(f"command {text!r}: {error}") from None
    plain, options = _split(words)
    match plain:
        case ["curtail"] | ["override", "set"] | ["override"]:
            draft = Draft(verb="override_set", to=options.get("to", ""), lasting=options.get("for", "1h"))
        case ["override", "set", circuit]:
            to, lasting = options.get("to", ""), options.get("for", "1h")
            draft = Draft(verb="override_set", circuit=circuit, to=to, lasting=lasting)
        case ["override", "release", override_id]:
            draft = Draft(verb="override_release", override_id=override_id)
        case ["stop-all"]:
            draft = Draft(verb="stop_all")
        case ["resume"]:
            draft = Draft(verb="resume")
        case _:
            raise OrderTextError(f"command {text!r}: expected one of {', '.join(COMMANDS)}")
    return replace(draft, reason=options.get("reason", ""))


COMMANDS = (
    "curtail --to 20MW --for 90m --reason ",
    "override set --to 20MW --for 90m --reason ",
    "override set C001 --to 0MW --for 30m --reason ",
    "override release ",
    "stop-all --reason ",
    "resume --reason ",
    "miners list -l ",
    "why ",
    "alarms list",
    "events list",
    "jobs list",
    "circuits list",
    "view ",
    "theme hmi-light",
    "theme hmi-dark",
    "status",
    "quit",
)
"""What the command line completes."""
_OPTIONS = {"to", "power", "for", "reason", "filter", "l"}


def _split(words: list[str]) -> tuple[list[str], dict[str, str]]:
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, _, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif name in _OPTIONS:
            options["to" if name == "power" else name] = value or next(rest, "")
        else:
            raise OrderTextError(f"option {word!r}: expected one of --to, --for, --reason")
    return plain, options


def _mw(plan: Mapping[str, object], key: str, sign: str = "") -> str:
    value = plan.get(key)
    return megawatts(float(value) if isinstance(value, int | float) else None, sign=sign)


def _time(value: object) -> str:
    return f"about {span(float(value))}" if isinstance(value, int | float) else "unknown: the ramp permits no rise"
