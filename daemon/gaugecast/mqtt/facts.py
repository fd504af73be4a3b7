"""What the link tells of itself."""

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
    """A connection was made: publishes that were not confirmed must be handed over again.

    Attributes:
        ended: How the one before it ended; `None` = there was none.
    """

    epoch: int
    session_present: bool
    ended: SessionEnd | None = None


@dataclass(slots=True)
class LinkCounters:
    """Totals since this process began.

    Attributes:
        session_lost_total: On a reconnect, or after a restart of ours, the broker had forgotten our session; what it
            held for us is gone.
        stale_acks_total: Acks for a connection that is gone; the broker will send these messages again.
        dropped_total: QoS 0 messages dropped to get at the PUBACKs behind them, while the caller took none.
    """

    reconnects_total: int = 0
    failed_dials_total: int = 0
    session_lost_total: int = 0
    received_total: int = 0
    acked_total: int = 0
    stale_acks_total: int = 0
    dropped_total: int = 0
    confirmed_total: int = 0
    refused_total: int = 0
