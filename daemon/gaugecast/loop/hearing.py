"""Whether a sensor's silence is its own: not ours, who were away, too slow, or told nothing by the broker."""

from __future__ import annotations

from collections.abc import Callable

from gaugecast.loop.ports import Ear

#: So long after a connect, or a poll that brought as much as was asked for, the rest of a backlog is there.
SETTLED_S = 2.0


class Hearing:
    """Owned by the loop's thread.

    Args:
        monotonic: Seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since_s = monotonic()

    def interrupt(self) -> None:
        """Sensors may have spoken, and what they said is still on its way to us."""
        self._since_s = self._monotonic()

    def listening(self, subscriber: Ear) -> bool:
        """Whether all that was said until now has been heard."""
        there = subscriber.connected and subscriber.deaf is None
        return there and self._monotonic() - self._since_s >= SETTLED_S
