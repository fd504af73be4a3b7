"""What the kernel says of a process: processor time, memory, bytes that it gave to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads /proc of one process."""

    def __init__(self, pid: int) -> None:
        self._place = Path(f"/proc/{pid}")

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads so far, s; children not included."""
        return cpu_s_of((self._place / "stat").read_text())

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB (10^6 bytes)."""
        return self._memory_mb("VmRSS")

    @property
    def peak_rss_mb(self) -> float:
        """Highest resident memory so far, MB."""
        return self._memory_mb("VmHWM")

    @property
    def written_bytes(self) -> int:
        """Bytes that it caused to be written to a disk so far: whole pages, as the kernel counts them."""
        lines = (self._place / "io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))

    def _memory_mb(self, name: str) -> float:
        lines = (self._place / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def cpu_s_of(stat: str) -> float:
    """User and system time in a line of /proc/PID/stat, s; the command's name may contain anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def cost_us(step: Callable[[], float], window_s: float, *, readings: int) -> float:
    """Processor time a reading, µs, over rounds that take about so long.

    Args:
        step: One round; its processor time in s.
        window_s: How long.
        readings: Of a round.
    """
    spent_s, rounds = 0.0, 0
    while spent_s < window_s:
        spent_s += step()
        rounds += 1
    return 1e6 * spent_s / (rounds * readings)
