"""What the link tells of its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a connection ended. `closed`: by the broker, in order and without a word. `blamed`: by the broker, with a
#: DISCONNECT that speaks of what we sent. `reset`: RST, by the network, or by a broker that closed it with bytes of
#: ours unread. `otherwise`: silence, malformed bytes, a broker that goes down, ourselves.
How = Literal["closed", "blamed", "reset", "otherwise"]


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session (an accepted connection) ended.

    Attributes:
        lived_s: From CONNACK on.
        since_publish_s: How long after the last publish was handed over; `None` if none was.
    """

    lived_s: float
    how: How
    since_publish_s: float | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """A connection was made. Of the publishing one: what was not confirmed must be handed over again.

    Attributes:
        session_present: The broker had kept our session; always false where we begin clean.
        ended: How the one before it ended; `None` = there was none.
    """

    epoch: int
    session_present: bool
    ended: SessionEnd | None = None


@dataclass(slots=True)
class LineCounters:
    """Totals of one client id since this process began."""

    reconnects_total: int = 0
    failed_dials_total: int = 0


@dataclass(slots=True)
class SubscriberCounters(LineCounters):
    """Of the connection that subscribes.

    Attributes:
        session_lost_total: On a reconnect, or after a restart of ours, the broker had forgotten our session; what it
            held for us is gone.
        stale_acks_total: Acks for a connection that is gone; the broker will send these messages again.
    """

    session_lost_total: int = 0
    received_total: int = 0
    acked_total: int = 0
    stale_acks_total: int = 0


@dataclass(slots=True)
class SenderCounters(LineCounters):
    """Of the connection that publishes."""

    confirmed_total: int = 0
    refused_total: int = 0
