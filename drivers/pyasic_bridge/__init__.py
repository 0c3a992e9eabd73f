"""The long tail of models through pyasic, which lives in a process of its own.

Importing pyasic costs 0.7-0.9 s and 68 MiB, its polls 5-40 ms of CPU each, and its time-out paths leak sockets
and swallow cancellation: none of that belongs in the loop that keeps the site on its set-point.
"""

from __future__ import annotations
