"""Answers polls for any number of addresses out of one process: each reply is a simulated miner's own, asked once.

One socket that takes every 127.x.y.z of its port, and blocking calls: 25 us of CPU for an answer where farmsim takes
150, so that 50,000 miners can be polled on two cores and the figures are the controller's. What it says never changes.
A request that is new for a model goes to the farmsim miner of that model; who that is, is put right in every reply.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

ANSWER_BYTES = 65_536
BACKLOG = 65_535
DATA_WITHIN_S = 5
"""TCP_DEFER_ACCEPT: a connection is taken when its request is there, one wake-up for both."""
SAMPLE_DEADLINE_S = 10.0


@dataclass(slots=True)
class Sample:
    """The farmsim miner that speaks for its model."""

    miner_id: str
    place: tuple[str, int]
    replies: dict[bytes, bytes] = field(default_factory=dict)

    def reply(self, request: bytes) -> bytes:
        """What it says to a request; asked the first time only."""
        known = self.replies.get(request)
        if known is None:
            known = self.replies[request] = self._ask(request)
        return known

    def _ask(self, request: bytes) -> bytes:
        parts = []
        with socket.create_connection(self.place, SAMPLE_DEADLINE_S) as link:
            link.sendall(request)
            while part := link.recv(ANSWER_BYTES):
                parts.append(part)
        return b"".join(parts)


def main() -> None:
    """Read {"samples": {model: [id, host, port]}, "miners": [[host, model, id], ...]} and answer until killed."""
    told = json.loads(sys.stdin.readline())
    samples = {model: Sample(where[0], (where[1], where[2])) for model, where in told["samples"].items()}
    miners = {host: (samples[model], miner_id) for host, model, miner_id in told["miners"]}
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DATA_WITHIN_S)
        server.bind(("0.0.0.0", 0))  # noqa: S104 - every 127.x.y.z at once; it answers with made-up figures only
        server.listen(BACKLOG)
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            link, _ = server.accept()
            try:
                _answer(link, miners)
            except OSError:
                pass  # who asked has hung up
            finally:
                link.close()


def _answer(link: socket.socket, miners: Mapping[str, tuple[Sample, str]]) -> None:
    request = link.recv(ANSWER_BYTES)
    sample, miner_id = miners[link.getsockname()[0]]
    reply = sample.reply(request)
    for case in (str.lower, str.upper):
        reply = reply.replace(case(sample.miner_id).encode(), case(miner_id).encode())
    link.sendall(reply)


if __name__ == "__main__":
    main()
