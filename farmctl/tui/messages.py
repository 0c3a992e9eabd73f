"""What the workers tell the app; only their handlers change widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.message import Message

from farmctl.ports.feed import LinkState
from farmctl.ports.replay import PastFeed
from farmctl.tui.orders import Draft


class LinkTold(Message):
    """The link to the controller is up, or down for so long."""

    def __init__(self, link: LinkState) -> None:
        super().__init__()
        self.link = link


class OrderTaken(Message):
    """The controller took an order."""

    def __init__(self, draft: Draft, job_id: str) -> None:
        super().__init__()
        self.draft = draft
        self.job_id = job_id


class OrderFailed(Message):
    """An order, a note or a question was refused, or nobody answered."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__()
        self.what = what
        self.why = why


class PastTold(Message):
    """What the site drew and should have drawn before this glass was opened: columns by name."""

    def __init__(self, past: Mapping[str, Sequence[float | None]]) -> None:
        super().__init__()
        self.past = past


class ReplayOpened(Message):
    """A recorded stretch was found."""

    def __init__(self, feed: PastFeed) -> None:
        super().__init__()
        self.feed = feed


class WhoTold(Message):
    """Who the controller takes us for; nobody else's word counts."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__()
        self.name = name
        self.role = role
