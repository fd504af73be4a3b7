"""A clock that only a test moves."""

from __future__ import annotations


class Clock:
    """Elapsed and wall time in ns; the wall clock can be set."""

    def __init__(self, wall_ns: int) -> None:
        self.elapsed_ns = 5_000_000_000
        self._wall_offset_ns = self._true_offset_ns = wall_ns - self.elapsed_ns

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.elapsed_ns += int(seconds * 1e9)

    def set_wall(self, step_s: float) -> None:
        """Somebody sets the machine's clock."""
        self._wall_offset_ns += int(step_s * 1e9)

    @property
    def is_right(self) -> bool:
        """Whether the wall clock tells the true time."""
        return self._wall_offset_ns == self._true_offset_ns

    def set_right(self) -> None:
        """Somebody, or NTP, sets it to the true time."""
        self._wall_offset_ns = self._true_offset_ns

    def true(self) -> int:
        """What the wall clock would say if nobody had set it, Unix ns."""
        return self.elapsed_ns + self._true_offset_ns

    def wall(self) -> int:
        """Unix ns."""
        return self.elapsed_ns + self._wall_offset_ns

    def elapsed(self) -> int:
        """Ns of a clock that nobody sets."""
        return self.elapsed_ns

    def monotonic(self) -> float:
        """Seconds."""
        return self.elapsed_ns / 1e9
