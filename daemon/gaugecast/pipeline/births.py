"""How many streams may come into being: so many a second, with a burst."""

from __future__ import annotations

#: New streams may come in a burst of so many seconds' worth of `new_streams_per_s`.
_BURST_S = 10


class Births:
    """A bucket of tokens, filled as arrival times go on. Part of a pipeline's state; owned by its thread.

    Attributes:
        tokens, at_ns: How many there are, and when that was.
    """

    def __init__(self, per_s: float) -> None:
        self.tokens = per_s * _BURST_S
        self.at_ns = 0

    def take(self, per_s: float, received_at_ns: int) -> bool:
        """Whether one more may come into being at this arrival time; it then counts as born."""
        elapsed_s = max(0, received_at_ns - self.at_ns) / 1e9
        self.tokens = min(per_s * _BURST_S, self.tokens + elapsed_s * per_s)
        self.at_ns = received_at_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
