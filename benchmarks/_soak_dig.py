"""What a process holds, by kind and by the line that made it: for the day a soak says that memory grows."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from typing import Any

FRAMES = 1
TOLD = 400
"""Kinds and lines that are told: the largest."""
LARGEST, MANY = 60, 500
"""Containers that are told: how many of those with more members than that."""
OURS = ("farmctl", "drivers")


def start() -> None:
    """From now on every allocation is known by the lines that led to it; it costs about twice the CPU."""
    tracemalloc.start(FRAMES)


def census() -> dict[str, Any]:
    """All objects that the collector can see, the frozen too, after a full look at them; KiB by line, ours named."""
    lost = _garbage()
    alive = gc.get_objects()
    kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in alive)
    large = sorted(((len(one), type(one).__name__, _example(one)) for one in alive if _has_length(one)), reverse=True)
    del alive
    gc.freeze()
    told = {"garbage": lost, "objects": sum(kinds.values()), "kinds": dict(kinds.most_common(TOLD))}
    return told | {"large": large[:LARGEST], "lines_kib": _lines(), "blocks": sys.getallocatedblocks()}


def _garbage() -> dict[str, int]:
    """Kinds of what was frozen alive and has died since, in cycles that only the collector can end."""
    gc.unfreeze()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    gc.garbage.clear()
    gc.collect()
    return dict(kinds.most_common(TOLD))


def _has_length(one: Any) -> bool:
    return type(one) in (dict, list, set) and len(one) > MANY


def _example(one: Any) -> str:
    return repr(next(iter(one)))[:120]


def _lines() -> dict[str, float]:
    taken = tracemalloc.take_snapshot() if tracemalloc.is_tracing() else None
    if taken is None:
        return {}
    sizes, counts = Counter[str](), Counter[str]()
    for one in taken.traces:
        line = _line(one.traceback)
        sizes[line] += one.size
        counts[line] += 1
    return {f"{line} x{counts[line]}": round(size / 1024, 1) for line, size in sizes.most_common(TOLD)}


def _line(traceback: tracemalloc.Traceback) -> str:
    frames = [f"{frame.filename.rpartition('/site-packages/')[2]}:{frame.lineno}" for frame in reversed(traceback)]
    ours = [frame for frame in frames if any(f"/{name}/" in frame for name in OURS)]
    return " < ".join(dict.fromkeys((frames[0], *ours[:2])))
