"""What the simulated miners of a crew saw: every contact with its sender, every command, and the sum of set-points."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulators.fronts.cgminer import Request
from simulators.fronts.luxos import WRITES, LuxosFront
from simulators.miner import SimMiner


@dataclass(frozen=True, slots=True)
class Claim:
    """A change of holder, as the database logged it."""

    shard: str
    slot: int
    epoch: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A command as it reached a miner."""

    at_s: float
    shard: str
    slot: int
    command: str


class Recorder:
    """Hears every request of every miner, in the process that runs them."""

    def __init__(self, slot_of: Mapping[str, int], cap_w: float) -> None:
        """`slot_of`: sender's address -> worker."""
        self._slot_of = slot_of
        self._cap_w = cap_w
        self._miners: Sequence[SimMiner] = ()
        self._counting = False
        self.sent: list[Sent] = []
        self.contacts: dict[tuple[str, int], list[float]] = defaultdict(list)
        """Shard and worker -> times of its requests."""
        self.faults: dict[int, list[float]] = defaultdict(list)
        """Worker -> when something befell it."""
        self.over_cap = 0
        self.highest_w = 0.0

    def watch(self, miners: Sequence[SimMiner]) -> None:
        """Listen in at every LuxOS miner of this process."""
        self._miners = miners
        answer = LuxosFront.answer

        def heard(front: LuxosFront, request: Request) -> bytes:
            reply = answer(front, request)
            self._hear(front._miner, request)  # noqa: SLF001 - a benchmark that looks over its shoulder
            return reply

        LuxosFront.answer = heard  # type: ignore[method-assign, assignment]

    def begin(self) -> None:
        """Count from here on."""
        self._counting = True

    def setpoints_w(self) -> float:
        """What all miners were told to draw, by their own profiles."""
        return sum(_told_w(miner) for miner in self._miners)

    def told(self, claims: Sequence[Claim]) -> dict[str, object]:
        """The verdict."""
        stale = [sent for sent in self.sent if _is_stale(sent, claims)]
        gaps = self._gaps(claims)
        return {
            "commands": len(self.sent),
            "stale_commands": len(stale),
            "over_cap": self.over_cap,
            "highest_setpoints_kw": round(self.highest_w / 1e3, 2),
            "cap_kw": round(self._cap_w / 1e3, 2),
            "claims": len(claims),
            "takeovers": len(gaps),
            "takeover_p50_s": _at(gaps, 0.5),
            "takeover_p99_s": _at(gaps, 0.99),
            "takeover_max_s": _at(gaps, 1.0),
        }

    def _hear(self, miner: SimMiner, request: Request) -> None:
        slot, now_s = self._slot_of.get(request.peer, -1), time.time()
        shard = miner.identity.container
        self.contacts[shard, slot].append(now_s)
        if request.command not in WRITES or not self._counting:
            return
        self.sent.append(Sent(now_s, shard, slot, f"{request.command} {request.parameter}"))
        asked_w = self.setpoints_w()
        self.highest_w = max(self.highest_w, asked_w)
        self.over_cap += asked_w > self._cap_w + 1.0

    def _gaps(self, claims: Sequence[Claim]) -> list[float]:
        """From what befell the old holder to the first word of the new one at the shard's miners, s."""
        gaps, before, since = [], dict[str, Claim](), dict[str, float]()
        for claim in claims:
            old = before.get(claim.shard)
            before[claim.shard] = claim
            if old is None:
                continue
            faults = self.faults[old.slot]
            place = bisect_right(faults, claim.at_s)
            began_s = faults[place - 1] if place and faults[place - 1] >= old.at_s - 1.0 else None
            began_s = since.pop(claim.shard, began_s)
            if began_s is None:
                continue  # let go of in good order: somebody joined
            words = self.contacts[claim.shard, claim.slot]
            place = bisect_right(words, claim.at_s)
            if place < len(words):
                gaps.append(words[place] - began_s)
            else:
                since[claim.shard] = began_s  # the new holder was hit before it said a word
        return sorted(gaps)


def _is_stale(sent: Sent, claims: Sequence[Claim]) -> bool:
    """True where somebody else had claimed the shard before the command arrived."""
    last = [claim for claim in claims if claim.shard == sent.shard and claim.at_s <= sent.at_s]
    return bool(last) and last[-1].slot != sent.slot


def _told_w(miner: SimMiner) -> float:
    if miner.is_asleep:
        return miner.personality.standby_w
    return float(miner.profile.watts) if miner.profile is not None else miner.personality.full_w


def _at(gaps: Sequence[float], share: float) -> float | None:
    return round(gaps[min(int(len(gaps) * share), len(gaps) - 1)], 2) if gaps else None
