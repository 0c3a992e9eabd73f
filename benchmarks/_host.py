"""What the machine did to a measurement, and what a process took of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PROC_STAT = Path("/proc/stat")
STEAL_FIELD = 7
"""user nice system idle iowait irq softirq steal guest guest_nice (proc(5)); guest is inside user already."""
COUNTED_FIELDS = 8


@dataclass(frozen=True, slots=True)
class CpuTicks:
    """Ticks of all CPUs since boot."""

    total: int
    steal: int

    @classmethod
    def now(cls) -> CpuTicks:
        """As the kernel counts them; zeros where there is no /proc/stat."""
        if not PROC_STAT.exists():
            return cls(total=0, steal=0)
        fields = PROC_STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        ticks = [int(text) for text in fields[:COUNTED_FIELDS]]
        return cls(total=sum(ticks), steal=ticks[STEAL_FIELD] if len(ticks) > STEAL_FIELD else 0)


@dataclass(slots=True)
class StealWatch:
    """Made before the work; `steal_pct()` after it tells the stolen share of the span in percent."""

    start: CpuTicks = field(default_factory=CpuTicks.now)

    def steal_pct(self) -> float:
        """Percent of all CPU time since the start; 0 where nothing is known."""
        end = CpuTicks.now()
        total = end.total - self.start.total
        return round(100.0 * (end.steal - self.start.steal) / total, 2) if total > 0 else 0.0


def load_average() -> float:
    """Runnable tasks over the last minute: above the number of cores, others were waited for."""
    return round(os.getloadavg()[0], 1)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, user and system (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
