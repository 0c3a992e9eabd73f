"""The objects of a VTN: stored, stamped, found by filters, and shown to those who may see them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from simulators.vtn.access import Client, Role

Body = dict[str, Any]
KINDS = {
    "programs": "PROGRAM",
    "events": "EVENT",
    "reports": "REPORT",
    "vens": "VEN",
    "resources": "RESOURCE",
    "subscriptions": "SUBSCRIPTION",
}
UNIQUE = {"programs": "programName", "vens": "venName"}
"""Member that must be unique among all objects of a path (409 otherwise)."""
WRITERS = {
    "programs": frozenset({Role.BL}),
    "events": frozenset({Role.BL}),
    "reports": frozenset({Role.VEN}),
    "vens": frozenset({Role.BL, Role.VEN}),
    "resources": frozenset({Role.BL, Role.VEN}),
    "subscriptions": frozenset({Role.BL, Role.VEN}),
}
OWNED = frozenset({"reports", "vens", "resources", "subscriptions"})
"""A VEN sees and changes only its own."""
EQUAL = {
    "programs": (),
    "events": ("programID",),
    "reports": ("programID", "eventID", "clientName"),
    "vens": ("venName",),
    "resources": ("resourceName", "venID"),
    "subscriptions": ("programID", "clientName"),
}
"""Query parameters that must equal the member of that name."""


_KEPT: tuple[str, ...] = ("id", "createdDateTime", "objectType", "clientID")


class Shelf:
    """All objects of all kinds."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Body]] = {path: {} for path in KINDS}
        self._numbers = itertools.count(1)

    def add(self, path: str, body: Body, client: Client) -> Body:
        """Store a new object and return it as the VTN shows it."""
        number = next(self._numbers)
        stamp = _stamp()
        made = {
            **body,
            "id": f"{path[:-1]}-{number}",
            "createdDateTime": stamp,
            "modificationDateTime": stamp,
            "objectType": KINDS[path],
        }
        if path in OWNED:
            made["clientID"] = body.get("clientID", client.client_id) if client.role is Role.BL else client.client_id
        self.objects[path][made["id"]] = made
        return made

    def replace(self, path: str, number: str, body: Body) -> Body:
        """Store an object anew under its id."""
        old = self.objects[path][number]
        kept: Body = {name: old[name] for name in _KEPT if name in old}
        self.objects[path][number] = {**body, **kept, "modificationDateTime": _stamp()}
        return self.objects[path][number]

    def taken(self, path: str, body: Body, number: str = "") -> bool:
        """Another object has this name already."""
        member = UNIQUE.get(path)
        return member is not None and any(
            o[member] == body[member] for key, o in self.objects[path].items() if key != number
        )

    def seen_by(self, path: str, item: Body, client: Client) -> bool:
        """A VEN sees its own objects, and programmes and events without targets or with one of its own."""
        if client.role is Role.BL:
            return True
        if path in OWNED:
            return bool(item.get("clientID") == client.client_id)
        wanted = set(item.get("targets") or ())
        return not wanted or bool(wanted & self._targets(client))

    def search(self, path: str, query: Mapping[str, str], client: Client, targets: set[str]) -> list[Body]:
        """The objects that pass the filters, oldest first."""
        found = []
        for item in self.objects[path].values():
            equal = all(name not in query or item.get(name) == query[name] for name in EQUAL[path])
            aimed = not targets or bool(targets & set(item.get("targets") or ()))
            if equal and aimed and self.seen_by(path, item, client):
                found.append(item)
        if path == "events" and query.get("active") == "true":
            found = [event for event in found if not has_passed(event)]
        return found

    def _targets(self, client: Client) -> set[str]:
        mine = [v for v in self.objects["vens"].values() if v.get("clientID") == client.client_id]
        return {target for ven in mine for target in (ven["venName"], *(ven.get("targets") or ()))}


def has_passed(event: Body) -> bool:
    """Its last interval is over; an event whose end is not simple to tell is kept."""
    period = event.get("intervalPeriod") or {}
    length = _seconds(period.get("duration"))
    try:
        start = datetime.fromisoformat(period["start"])
    except (KeyError, TypeError, ValueError):
        return False
    intervals = event.get("intervals") or []
    own = any("intervalPeriod" in interval for interval in intervals)
    if length is None or own or start.tzinfo is None or start.year == 1:
        return False
    return datetime.now(UTC) >= start + timedelta(seconds=length * max(len(intervals), 1))


def _seconds(duration: object) -> float | None:
    """Length of a duration made of hours, minutes and seconds."""
    if not isinstance(duration, str) or not duration.startswith("PT"):
        return None
    total, digits = 0.0, ""
    for char in duration[2:]:
        if char in "HMS":
            total += float(digits or 0) * {"H": 3_600, "M": 60, "S": 1}[char]
            digits = ""
        else:
            digits += char
    return total


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
