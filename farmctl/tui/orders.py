"""Orders as the glass drafts them: what goes to the controller, and the CLI line that does the same."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from farmctl.core.units import MS_PER_S, WATTS_PER_KW
from farmctl.errors import RefusedError
from farmctl.ports.feed import FleetImage

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(MW|kW|W|%)", re.IGNORECASE)
LARGEST = 1e12
"""Of any unit: what is larger is a slip of the hand, and no controller takes it."""
_SPAN = re.compile(r"([0-9]+)\s*([smhd])")
_KW = {"mw": 1_000.0, "kw": 1.0, "w": 0.001}
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NOTHING = re.compile(r"0\s*(MW|kW|W|%)")
SIZED, TIMED = frozenset({"override_set", "set_power"}), frozenset({"override_set", "set_power", "lease_take"})
"""Verbs that say a power, and verbs that say for how long."""
SELECTING = frozenset({"locate", "reboot", "set_power"})
"""Verbs that are about some miners."""
NAMED = frozenset({"override_set", "set_power", "override_release", "resume", "reboot", "emergency_release"})
"""Verbs that take the site's name as a confirmation."""
BEGIN_END = ("Begin", "End")
TITLES: dict[str, tuple[str, ...]] = {
    "stop_all": ("Put every miner of the site to sleep",),
    "resume": ("Release stop-all",),
    "emergency_release": ("Release the latched EMERGENCY, on the dispatcher's word",),
    "lease_take": ("Take the control lease: only you steer by hand",),
    "lease_release": ("Give the control lease back",),
}
ENGINEERS = frozenset({"reboot", "emergency_release"})


class OrderTextError(RefusedError):
    """A size, a span or a command that cannot be read; says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One order on its way."""

    method: str
    path: str
    body: dict[str, object]


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
    container: str = ""
    """What is maintained; empty: the whole site."""
    selector: str = ""
    """Which miners, as a filter."""
    on: bool = True
    """Of a light or of maintenance."""
    override_id: str = ""
    reason: str = ""
    confirm: str = ""
    """The site's name, where the change is large."""

    @property
    def title(self) -> str:
        """What it is, for people."""
        what, miners = self.circuit or "the whole site", _about(self.selector)
        switched = {
            "override_set": (f"Stop {what} for a time", f"Hold {what} at a power"),
            "set_power": (f"Put {miners} to sleep for a time", f"Hold each of {miners} at a power"),
            "locate": (f"Blink the lights of {miners}", f"Stop the lights of {miners}"),
            "maintenance": tuple(f"{word} maintenance of {self.container or 'the whole site'}" for word in BEGIN_END),
            "override_release": (f"Release the override {self.override_id}",),
            "reboot": (f"Restart the control boards of {miners}",),
            **TITLES,
        }[self.verb]
        first = _NOTHING.fullmatch(self.to) is not None if self.verb in SIZED else self.on
        return switched[0 if first else -1]

    @property
    def command(self) -> str:
        """The CLI line that does the same."""
        words = ["farmctl", *self._verb_words(), "--reason", shlex.quote(self.reason)]
        if self.confirm:
            words += ["--confirm", shlex.quote(self.confirm)]
        return " ".join(words)

    def _verb_words(self) -> list[str]:
        where = ["--container", shlex.quote(self.container)] if self.container else []
        circuit = [shlex.quote(self.circuit)] if self.circuit else []
        lasting = ["--for", shlex.quote(self.lasting)]
        words = {
            "override_set": ["override", "set", *circuit, "--to", shlex.quote(self.to), *lasting],
            "override_release": ["override", "release", shlex.quote(self.override_id)],
            "maintenance": ["maintenance", "on" if self.on else "off", *where],
            "lease_take": ["lease", "take", *lasting],
            "lease_release": ["lease", "release"],
            "emergency_release": ["emergency", "release"],
        }
        if self.verb == "set_power":
            return ["miners", "set-power", "-l", shlex.quote(self.selector), "--to", shlex.quote(self.to), *lasting]
        if self.verb in SELECTING:
            return ["miners", self.verb, "-l", shlex.quote(self.selector), *([] if self.on else ["--off"])]
        return words.get(self.verb, [self.verb.replace("_", "-")])

    def request(self, image: FleetImage) -> Request:
        """What the controller takes, without key and revision. Raises OrderTextError."""
        reason = self.reason.strip() or "preview"
        if self.verb in ("lease_take", "lease_release"):
            body: dict[str, object] = {"reason": reason}
            if self.verb == "lease_take":
                body["expires_at"] = ends_at(self.lasting, image)
            return Request(
                method="POST" if self.verb == "lease_take" else "DELETE", path="/v1/control/lease", body=body
            )
        told: dict[str, object] = {"verb": self.verb, "reason": reason, "params": self._params(image)}
        if self.verb in SELECTING:
            told["selector"] = self.selector
        return Request(method="POST", path="/v1/commands", body=told)

    def _params(self, image: FleetImage) -> dict[str, object]:
        confirm: dict[str, object] = {"confirm": self.confirm} if self.confirm and self.verb in NAMED else {}
        match self.verb:
            case "override_set":
                target = kilowatts(self.to, _rated_kw(self.circuit, image))
                circuit: dict[str, object] = {"circuit": self.circuit} if self.circuit else {}
                return {"target_kw": target, "expires_at": ends_at(self.lasting, image), **circuit, **confirm}
            case "set_power":
                if self.to.strip().endswith("%"):
                    raise OrderTextError(f"power {self.to!r}: a share is of no one miner; expected such as 2500W")
                each_w = kilowatts(self.to, 0.0) * WATTS_PER_KW
                return {"power_w": round(each_w, 1), "expires_at": ends_at(self.lasting, image), **confirm}
            case "override_release":
                return {"id": self.override_id, **confirm}
            case "locate":
                return {"on": self.on}
            case "maintenance":
                return {"on": self.on, "containers": [self.container] if self.container else []}
            case _:
                return confirm


def _about(selector: str) -> str:
    ids = selector.removeprefix("id=")
    one = selector.startswith("id=") and "," not in ids and " " not in ids
    return ids if one else "the chosen miners"


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
    if number > LARGEST:
        raise OrderTextError(f"power {text[:30]!r}: expected at most 1000GW")
    return rated_kw * number / 100 if unit == "%" else number * _KW[unit]


def seconds(text: str) -> int:
    """A span with its unit. Raises OrderTextError."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise OrderTextError(f"time {text!r}: expected a number with s, m, h or d, such as 90m")
    if not int(match[1]):
        raise OrderTextError(f"time {text!r}: expected more than nothing, such as 90m")
    return int(match[1]) * _SECONDS[match[2]]


def ends_at(text: str, image: FleetImage) -> str:
    """When a span that begins with an image ends, ISO 8601. Raises OrderTextError."""
    begins = datetime.fromtimestamp(image.at_ms / MS_PER_S, tz=UTC)
    try:
        return (begins + timedelta(seconds=seconds(text))).isoformat(timespec="seconds")
    except OverflowError:
        raise OrderTextError(f"time {text!r}: expected an end within this era") from None
