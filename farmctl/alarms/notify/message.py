"""One thing that people are told, and how it reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from farmctl.core.units import MS_PER_S

SCHEMA = "farmctl/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Never holds a credential: it is made of pictures, which hold none."""

    kind: str
    """`alarm`, `event`, `mode`, `override`, `flood`, `channel` or `test`."""
    key: str
    """What it is about: `ALARM@WHERE`, an event's id; messages of one key are deduplicated."""
    state: str
    """`raised`, `returned`, `armed`, `started`, `reached`, `missed`, `released`, ..."""
    at_ms: int
    title: str
    priority: int = 0
    """Of an alarm, 1 to 4; 0 for everything else."""
    where: str = ""
    detail: str = ""
    since_ms: int = -1
    cause: str = ""
    consequence: str = ""
    response: str = ""
    runbook: str = ""
    """Address of the page that says what to do."""
    dashboard: str = ""
    """Address of the site's dashboard."""
    held_back: int = 0
    """Messages that the hourly limit has swallowed since the last one that went out."""

    @property
    def ends(self) -> bool:
        """It tells the end of something that an earlier message began."""
        return self.state == "returned"


def subject(site: str, message: Message) -> str:
    """One line."""
    mark = f"P{message.priority} " if message.priority else ""
    return f"[farmctl {site}] {mark}{message.title}"


def text(site: str, message: Message) -> str:
    """The whole for a person: what, where, since, what to do, and where more is written."""
    since = moment(message.since_ms if message.since_ms >= 0 else message.at_ms)
    lines = [
        ("what", message.title),
        ("site", site),
        ("where", message.where),
        ("value", message.detail),
        ("since", since),
        ("cause", message.cause),
        ("otherwise", message.consequence),
        ("do", message.response),
        ("runbook", message.runbook),
        ("dashboard", message.dashboard),
    ]
    if message.held_back:
        lines.append(("besides", f"{message.held_back} more messages were held back by the limit of an hour"))
    return "\n".join(f"{label:<10}{words}" for label, words in lines if words) + "\n"


def body(site: str, delivery: str, message: Message) -> dict[str, Any]:
    """The JSON of a webhook; keys are only ever added."""
    told = asdict(message)
    at_ms, since_ms = told.pop("at_ms"), told.pop("since_ms")
    since = moment(since_ms) if since_ms >= 0 else None
    return {"schema": SCHEMA, "id": delivery, "site": site, "at": moment(at_ms), "since": since, **told}


def moment(at_ms: int) -> str:
    """ISO 8601, UTC."""
    return datetime.fromtimestamp(at_ms / MS_PER_S, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
