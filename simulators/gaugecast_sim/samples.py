"""What passes between the parts that make messages and those that send them."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """One message to publish.

    Attributes:
        at_ns: When to publish it, Unix ns UTC. The event time, if there is one, is in the payload.
    """

    topic: str
    payload: bytes
    at_ns: int


def unix_seconds(at_ns: int) -> str:
    """Unix seconds as a decimal with three places, cut (not rounded) to the millisecond."""
    seconds, rest = divmod(at_ns // 1_000_000, 1000)
    return f"{seconds}.{rest:03d}"
