"""Tokens that a web server gives out: they run out, and a reboot or a fault voids them all."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from simulators.faults import Fault

if TYPE_CHECKING:
    from simulators.miner import SimMiner


class TokenBook:
    """The live tokens of one miner."""

    def __init__(self, miner: SimMiner, life_s: float) -> None:
        self._miner = miner
        self._life_s = life_s
        self._until_s: dict[str, float] = {}
        self._era = 0

    def give(self) -> str:
        """Hand out a fresh one."""
        self._forget()
        token = secrets.token_hex(16)
        self._until_s[token] = self._miner.clock() + self._life_s
        return token

    def admits(self, token: str) -> bool:
        """Whether it is one of ours and still lives."""
        if Fault.UNAUTHORIZED in self._miner.faults:
            return False
        self._forget()
        return token in self._until_s

    def _forget(self) -> None:
        if self._era != self._miner.secrets_void:
            self._era = self._miner.secrets_void
            self._until_s.clear()
        now_s = self._miner.clock()
        self._until_s = {token: until for token, until in self._until_s.items() if until > now_s}
