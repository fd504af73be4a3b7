"""Back-pressure: how many forecasts may be unconfirmed before we stop reading, and when that would be a mistake."""

from __future__ import annotations

from typing import Protocol

#: Without a confirmation for so long, the broker takes nothing just now.
SILENT_S = 3.0


class Lagging(Protocol):
    """What is needed of `Publisher`."""

    confirmed: int

    @property
    def lag(self) -> int:
        """Durable outputs that are not confirmed."""


class Connected(Protocol):
    """What is needed of the connection that publishes."""

    @property
    def connected(self) -> bool:
        """Whether it is there."""


class LagBound:
    """A broker that confirms slowly is not made to give us more than it takes back.

    One that is away, or takes nothing at all, is another matter: to wait for it would lose what the queue of the
    other connection cannot hold. Our ledger is the larger queue; so reading goes on.

    Owned by the loop's thread; knows no clock but the seconds that it is told.

    Args:
        most: Unconfirmed forecasts at which reading stops.

    Attributes:
        lagging: The bound was passed, and the lag has not fallen below its half since.
    """

    def __init__(self, publisher: Lagging, sender: Connected, *, most: int) -> None:
        self.lagging = False
        self._publisher, self._sender, self._most = publisher, sender, most
        self._confirmed = publisher.confirmed
        self._confirmed_at_s = float("-inf")

    def holds(self, now_s: float) -> bool:
        """Whether nothing must be read now."""
        lag, confirmed = self._publisher.lag, self._publisher.confirmed
        self.lagging = lag > (self._most // 2 if self.lagging else self._most)
        if confirmed != self._confirmed or lag == 0:
            self._confirmed, self._confirmed_at_s = confirmed, now_s
        confirming = self._sender.connected and now_s - self._confirmed_at_s < SILENT_S
        return confirming and lag > self._most
