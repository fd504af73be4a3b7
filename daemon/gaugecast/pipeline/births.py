"""How fast new streams may come into being: a bucket that fills with time, by the inputs' own clock."""

from __future__ import annotations

#: New streams may come in a burst of so many seconds' worth of the rate.
BURST_S = 10


class Births:
    """Part of a pipeline's state; owned by its thread.

    Attributes:
        tokens: So many streams may come into being at once.
        at_ns: Arrival of the newest that asked.
    """

    def __init__(self, per_s: float) -> None:
        self.tokens = per_s * BURST_S
        self.at_ns = 0

    def allow(self, received_at_ns: int, per_s: float) -> bool:
        """Whether a stream may come into being now; then one less may after it."""
        elapsed_s = max(0, received_at_ns - self.at_ns) / 1e9
        self.tokens = min(per_s * BURST_S, self.tokens + elapsed_s * per_s)
        self.at_ns = received_at_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
