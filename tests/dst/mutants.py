"""Bugs made by hand: each must be caught by some law within a few histories, or the laws prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from farmctl.core import budget, events, proposals, step
from farmctl.core.grid import EventClass
from farmctl.core.memory import RowMemory
from farmctl.core.model import Fate
from farmctl.core.reasons import Reason
from farmctl.engine import actuator, cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One bug: which name in which module becomes what."""

    name: str
    where: Any
    attribute: str
    made: Callable[[Any], Any]
    """From the right thing to the wrong one."""

    @contextmanager
    def alive(self) -> Iterator[None]:
        """The bug is in the code while the block runs."""
        right = getattr(self.where, self.attribute)
        setattr(self.where, self.attribute, self.made(right))
        try:
            yield
        finally:
            setattr(self.where, self.attribute, right)


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _right: lambda *_args, **_kwargs: value


def _without(reason: Reason) -> Callable[[Any], Any]:
    def made(right: Any) -> Any:
        return lambda *args, **kwargs: (wish for wish in right(*args, **kwargs) if wish.reason is not reason)

    return made


def _ends_like_others(right: Any) -> Any:
    def aged(track: Any, now_ms: int) -> Any:
        plain = replace(track, event=replace(track.event, event_class=EventClass.LIMIT))
        after = right(plain, now_ms)
        return track if after is plain else replace(after, event=track.event)

    return aged


def _blind(right: Any) -> Any:
    """Retries nothing that was not confirmed."""

    def seen(rows: RowMemory, view: Any, now_ms: int) -> Any:
        found = right(rows, view, now_ms)
        none = np.zeros(len(found.retry), dtype=np.bool_)
        return replace(found, retry=none, drifted=none)

    return seen


def _eager(right: Any) -> Any:
    return lambda **facts: right(**{**facts, "may_raise": True, "may_wake": True})


def _unsorted(_right: Any) -> Any:
    return lambda decision: decision.commands


def _unrated(right: Any) -> Any:
    def freeze(self: Any, *arrivals: Any) -> Any:
        view = right(self, *arrivals)
        boundless = np.full_like(view.circuits.rating_w, np.inf)
        return replace(view, circuits=replace(view.circuits, rating_w=boundless))

    return freeze


def _acknowledged_unsent(right: Any) -> Any:
    async def applied(self: Any, command: Any, link: Any) -> Any:
        if command.point.hash_rate_hs == 0.0:
            return Fate.ACKNOWLEDGED, ""
        return await right(self, command, link)

    return applied


MUTANTS = (
    Mutant(
        name="the highest limit wins",
        where=budget,
        attribute="_ceiling_rank",
        made=lambda right: lambda wish: (-right(wish)[0], *right(wish)[1:]),
    ),
    Mutant(name="stop-all is not a wish", where=proposals, attribute="_wishes", made=_without(Reason.STOP_ALL)),
    Mutant(name="an emergency ends by itself", where=events, attribute="_aged", made=_ends_like_others),
    Mutant(name="no event ever ends", where=events, attribute="_ended", made=lambda _right: lambda track, _now: track),
    Mutant(name="nothing is retried", where=step, attribute="confirm", made=_blind),
    Mutant(name="everything may rise at any time", where=step, attribute="Ask", made=_eager),
    Mutant(
        name="a full disk does not keep it from raising",
        where=cycle,
        attribute="_lowering",
        made=_unsorted,
    ),
    Mutant(name="intent is not journalled", where=cycle, attribute="command_records", made=_always(value=())),
    Mutant(name="the ratings of circuits are not known", where=cycle.Cycle, attribute="_freeze", made=_unrated),
    Mutant(
        name="sleep is acked and not sent",
        where=actuator.Actuator,
        attribute="_applied",
        made=_acknowledged_unsent,
    ),
)
