"""What the simulated miners of a crew saw: every contact with its sender, every command, and the sum of set-points."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    let_go: bool = False
    """Not a claim but its end in good order: the holder had more than its fair share."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A command as it reached a miner."""

    at_s: float
    shard: str
    slot: int
    command: str
    raises: bool
    """All but what surely lowers, which needs no lease, by rule: a sleep, or less than the miner was told before."""
    miner: str = ""
    """As farmctl writes it."""
    from_w: float = 0.0
    to_w: float = 0.0
    """What the miner was told to draw, before and after."""


@dataclass(frozen=True, slots=True)
class Befell:
    """A fault of one worker."""

    at_s: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A change of holder: from what befell the old one to the first word of the new one at the shard's miners, s."""

    kind: str
    to_claim_s: float
    to_word_s: float
    hops: int
    """Holders that were hit themselves before they said a word."""
    since_back_s: float | None = None
    """From when the database answered again, where an outage fell in between: nobody could claim. None: none did."""

    @property
    def long_s(self) -> float:
        """The whole of it."""
        return self.to_claim_s + self.to_word_s


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
        self.faults: dict[int, list[Befell]] = defaultdict(list)
        """Worker -> what befell it, in order."""
        self.restarts: list[tuple[float, float]] = []
        """When the database went and answered again: stopped and started at once."""
        self.outages: list[tuple[float, float]] = []
        """The same, where it stayed away for a while."""
        self.talked: dict[int, float] = {}
        """Worker -> when it last began, or was in, a conversation that commands."""
        self.begun: dict[str, float] = {}
        """Miner -> when a conversation that commands last began."""
        self.over_cap = 0
        self.highest_w = 0.0

    def _told_of(self, sent: Sent, claims: Sequence[Claim]) -> str:
        """For people: who sent what, how long after another's claim, and what had befallen the sender last."""
        claim = [each for each in claims if each.shard == sent.shard and each.at_s <= sent.at_s][-1]
        faults = [each for each in self.faults[sent.slot] if each.at_s <= sent.at_s]
        last = f"{faults[-1].kind} {sent.at_s - faults[-1].at_s:.2f} s before" if faults else "nothing before"
        return (
            f"{sent.command} of {sent.slot} to {sent.shard}, {sent.from_w:.0f} to {sent.to_w:.0f} W, "
            f"{sent.at_s - claim.at_s:.2f} s after {claim.slot} claimed; {last}"
        )

    @contextmanager
    def listening(self, miners: Sequence[SimMiner]) -> Iterator[None]:
        """Listen in at these LuxOS miners of this process."""
        self._miners = miners
        ours, answer = {id(miner) for miner in miners}, LuxosFront.answer

        def heard(front: LuxosFront, request: Request) -> bytes:
            miner = front._miner  # noqa: SLF001 - a benchmark that looks over its shoulder
            if id(miner) not in ours:
                return answer(front, request)
            before_w = _told_w(miner)
            reply = answer(front, request)
            self._hear(miner, request, before_w)
            return reply

        LuxosFront.answer = heard  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            LuxosFront.answer = answer  # type: ignore[method-assign]

    def begin(self) -> None:
        """Count from here on."""
        self._counting = True

    def setpoints_w(self) -> float:
        """What all miners were told to draw, by their own profiles."""
        return sum(_told_w(miner) for miner in self._miners)

    def stale(self, log: Sequence[Claim]) -> list[Sent]:
        """What raises, or may, and was sent by another than the shard's holder."""
        claims = [each for each in log if not each.let_go]
        return [sent for sent in self.sent if sent.raises and _is_anothers(sent, claims)]

    def told(self, log: Sequence[Claim]) -> dict[str, object]:
        """The verdict."""
        claims, let_go = [each for each in log if not each.let_go], {(c.shard, c.epoch) for c in log if c.let_go}
        strange = sum(_is_anothers(sent, claims) for sent in self.sent)
        stale_ones = self.stale(log)
        stale = len(stale_ones)
        found = self._gaps(claims, let_go)
        gaps = [gap.long_s for gap in found if gap.since_back_s is None]
        outage = [gap for gap in found if gap.since_back_s is not None]
        back = sorted(gap.since_back_s for gap in outage if gap.since_back_s is not None)
        longest = [
            f"{gap.kind} {gap.to_claim_s:.1f}+{gap.to_word_s:.1f} s, {gap.hops} hops, since back {gap.since_back_s}"
            for gap in found[-3:]
        ]
        return {
            "commands": len(self.sent),
            "raises": sum(sent.raises for sent in self.sent),
            "stale_commands": stale,
            "stale_told": [self._told_of(sent, claims) for sent in stale_ones],
            "lowered_without_lease": strange - stale,
            "over_cap": self.over_cap,
            "highest_setpoints_kw": round(self.highest_w / 1e3, 2),
            "cap_kw": round(self._cap_w / 1e3, 2),
            "claims": len(claims),
            "takeovers": len(gaps),
            "takeover_p50_s": _at(gaps, 0.5),
            "takeover_p99_s": _at(gaps, 0.99),
            "takeover_max_s": _at(gaps, 1.0),
            "takeover_longest": longest,
            "takeovers_outage": len(outage),
            "takeover_outage_since_back_p99_s": _at(back, 0.99),
            "takeover_outage_p99_s": _at([gap.long_s for gap in outage], 0.99),
            "takeover_all_p99_s": _at([gap.long_s for gap in found], 0.99),
            "restarts_s": [round(end - begin, 1) for begin, end in self.restarts],
            "outages_s": [round(end - begin, 1) for begin, end in self.outages],
        }

    def _hear(self, miner: SimMiner, request: Request, before_w: float) -> None:
        after_w = _told_w(miner)
        raises = after_w >= before_w and "sleep" not in request.parameter
        slot, now_s = self._slot_of.get(request.peer, -1), time.time()
        shard = miner.identity.container
        self.contacts[shard, slot].append(now_s)
        if request.command == "logon" or request.command in WRITES:
            self.talked[slot] = now_s
        if request.command == "logon":
            self.begun[miner.identity.mac.lower()] = now_s
        if request.command not in WRITES or not self._counting:
            return
        words, mac = f"{request.command} {request.parameter}", miner.identity.mac.lower()
        self.sent.append(Sent(now_s, shard, slot, words, raises, mac, before_w, after_w))
        asked_w = self.setpoints_w()
        self.highest_w = max(self.highest_w, asked_w)
        self.over_cap += asked_w > self._cap_w + 1.0

    def _gaps(self, claims: Sequence[Claim], let_go: Collection[tuple[str, int]]) -> list[Gap]:
        """Every change of holder that a fault began, shortest first."""
        gaps, before, since = [], dict[str, Claim](), dict[str, tuple[Befell, int]]()
        for claim in claims:
            old = before.get(claim.shard)
            before[claim.shard] = claim
            if old is None:
                continue
            ended = None if (old.shard, old.epoch) in let_go else self._ended(old, claim)
            fault, hops = since.pop(claim.shard, (ended, 0))
            if fault is None:
                continue  # let go of in good order: somebody joined
            words = self.contacts[claim.shard, claim.slot]
            place = bisect_right(words, claim.at_s)
            if place < len(words) and not _is_over(words[place], claim, claims):
                back_s = [end for begin, end in self.outages if begin <= claim.at_s and end >= fault.at_s]
                gaps.append(
                    Gap(
                        kind=fault.kind, hops=hops,
                        to_claim_s=claim.at_s - fault.at_s, to_word_s=words[place] - claim.at_s,
                        since_back_s=round(words[place] - max(back_s), 2) if back_s else None,
                    )
                )  # fmt: skip
            else:
                since[claim.shard] = (fault, hops + 1)  # the new holder was hit before it said a word
        return sorted(gaps, key=lambda gap: gap.long_s)

    def _ended(self, old: Claim, new: Claim) -> Befell | None:
        """What took the shard from its old holder: the first fault that is longer than a lease, else the database's."""
        faults = [each for each in self.faults[old.slot] if old.at_s - 1.0 <= each.at_s <= new.at_s]
        lasting = [each for each in faults if each.kind not in {"restart", "outage"}]
        return lasting[0] if lasting else faults[-1] if faults else None


def _is_anothers(sent: Sent, claims: Sequence[Claim]) -> bool:
    """True where somebody else had claimed the shard before the command arrived."""
    last = [claim for claim in claims if claim.shard == sent.shard and claim.at_s <= sent.at_s]
    return bool(last) and last[-1].slot != sent.slot


def _is_over(at_s: float, claim: Claim, claims: Sequence[Claim]) -> bool:
    """True where the next had claimed the shard by then."""
    later = (other.at_s for other in claims if other.shard == claim.shard and other.at_s > claim.at_s)
    return at_s > next(later, float("inf"))


def _told_w(miner: SimMiner) -> float:
    if miner.is_asleep:
        return miner.personality.standby_w
    return float(miner.profile.watts) if miner.profile is not None else miner.personality.full_w


def _at(seconds: Sequence[float], share: float) -> float | None:
    """Of sorted ones."""
    return round(seconds[min(int(len(seconds) * share), len(seconds) - 1)], 2) if seconds else None
