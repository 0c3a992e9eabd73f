"""A site of several processes: workers that hold shards, a controller that decides, and what passes between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from farmctl.core.model import Command, Fate


class Role(StrEnum):
    """What a process of `farmctl run` does."""

    ALL = "all"
    WORKER = "worker"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The right to command one shard."""

    shard: str
    epoch: int
    """One more at each change of holder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoint:
    """What the controller wants of one miner: absolute, and replaced by the next."""

    shard: str
    command: Command
    raises: bool
    """True unless it surely lowers."""
    rev: int = 0
    """Rises with every set-point that is written; 0 before it is."""
    epoch: int = 0
    """Of the controller that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Under what the workers may raise, and where they go when nobody tells them any more."""

    rev: int
    cap_w: float
    failsafe_w: float
    left_s: float
    """Until it ends, by the database's clock; negative when it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePage:
    """A shard as its worker saw it last."""

    shard: str
    epoch: int
    rev: int
    """Rises with every page of the site."""
    packed: bytes


AsideKind = Literal["said", "facts"]
"""What polls tell beside the columns, or the slow facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsidePage:
    """What stands beside the columns of a shard, as its worker heard it last."""

    shard: str
    kind: AsideKind
    rev: int
    """Rises with every page of the site."""
    packed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process that was seen lately."""

    name: str
    role: Role
    door: str
    """Where its control API answers; empty: nowhere for others."""
    seen_s: float
    leads: bool
    shards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The processes of a site as the one that leads sees them."""

    leader: str
    door: str
    members: Sequence[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a command on the wire."""

    miner: str
    shard: str
    epoch: int
    fate: Fate
    detail: str


class Leases(Protocol):
    """The rights of this process; every awaited call raises StoreError where the database does not answer."""

    async def beat(self) -> None:
        """Renew, claim a fair share, let go of what is more; call it more often than every third of a lease."""
        ...

    def held(self) -> Mapping[str, Held]:
        """By shard, also those past their deadline: ask `may_send`."""
        ...

    def may_send(self, shard: str) -> bool:
        """True while commands for this shard may leave, by the clock of this host."""
        ...

    async def leave(self) -> None:
        """Let go of everything."""
        ...


class ShardPost(Protocol):
    """What a worker exchanges; every call raises StoreError where the database does not answer."""

    async def plan(self) -> Plan | None:
        """The newest, ended or not."""
        ...

    async def setpoints(self, after: Mapping[str, int]) -> Sequence[SetPoint]:
        """Those of these shards with a higher `rev`, in their order."""
        ...

    async def lower(self, held: Held, plan_rev: int, commands: Sequence[Command]) -> None:
        """Note commands that lower power; no right is needed."""
        ...

    async def raise_power(self, held: Held, plan_rev: int, commands: Sequence[Command], worst_w: float) -> None:
        """Note commands that raise, proved against lease, plan and share. Raises RefusedError with nothing noted."""
        ...

    async def settle(self, held: Held, worst_w: float) -> None:
        """Give up, or take, share until it is what the shard's miners draw at worst. Raises RefusedError."""
        ...

    async def show(self, pages: Sequence[tuple[Held, bytes]]) -> None:
        """Replace the live page of each shard that is still held."""
        ...

    async def show_beside(self, pages: Sequence[tuple[Held, AsideKind, bytes]]) -> None:
        """Replace what stands beside the columns of each shard that is still held."""
        ...

    async def keep(self, at_ms: int, pages: Sequence[tuple[Held, bytes]]) -> None:
        """Add a page to the history of each shard."""
        ...

    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Say what became of commands."""
        ...


class SitePost(Protocol):
    """What the controller exchanges; raises FencedError where it leads no longer, StoreError without a database."""

    async def order(self, points: Sequence[SetPoint]) -> None:
        """Write set-points and wake the workers."""
        ...

    async def publish(self, cap_w: float, failsafe_w: float, valid_s: float) -> None:
        """Have a plan with this cap in force for so long; a lower cap is a new plan."""
        ...

    async def pages(self, after: int) -> Sequence[LivePage]:
        """Live pages with a higher `rev`."""
        ...

    async def beside(self, after: int) -> Sequence[AsidePage]:
        """What stands beside the columns, with a higher `rev`."""
        ...

    async def tidy(self, keep_days: int) -> None:
        """Make the days to come, drop telemetry that is older, forget processes of long ago; harmless when repeated."""
        ...

    async def members(self) -> Sequence[Member]:
        """Who is there."""
        ...

    async def known(self, shards: Collection[str]) -> None:
        """Make these shards known."""
        ...
