"""Verbs of the link's tests: turn, take, publish; and the makers of brokers and links that their fixtures give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gaugecast.mqtt import Link
from gaugecast.records import Message
from support.mosquitto import Mosquitto, wait_until

Reach = Callable[..., Link]
Serve = Callable[..., Mosquitto]


def name_variant(variant: tuple[str, bool]) -> str:
    """Protocol and transport, as tests are called by."""
    return f"v{variant[0]}-{'tls' if variant[1] else 'tcp'}"


#: For what waits or moves much: TLS changes how bytes travel, which the tests without this mark try every day.
PLAIN_EVERY_DAY = pytest.mark.parametrize(
    "variant",
    [("5", False), ("3.1.1", False), *(pytest.param((v, True), marks=pytest.mark.long) for v in ("5", "3.1.1"))],
    indirect=True,
    ids=name_variant,
)


def turn_until(link: Link, condition: Callable[[], Any], *, what: str = "condition") -> Any:
    """Turn the link without taking messages until the condition holds."""

    def turned() -> Any:
        link.poll(0, 0.01)
        return condition()

    return wait_until(turned, what=f"{what}; {_errors(link)}")


def take(link: Link, count: int, *, most: int = 1000, ack: bool = False) -> list[Message]:
    """Take messages until there are `count`; without `ack` a default broker sends no more than 20 on 3.1.1."""
    taken: list[Message] = []

    def enough() -> bool:
        batch = link.poll(most, 0.05)
        taken.extend(batch)
        if ack:
            link.subscriber.ack(batch)
        return len(taken) >= count

    wait_until(enough, what=f"{count} messages; {_errors(link)}")
    return taken


def publish_all(link: Link, bodies: list[tuple[str, bytes]], *, qos: int) -> list[int]:
    """Publish as a caller does, within the room; return the confirmed positions in order of confirmation."""
    confirmed: list[int] = []
    position = 0

    def all_confirmed() -> bool:
        nonlocal position
        for _ in range(min(link.sender.room(qos), len(bodies) - position)):
            link.sender.publish(position, *bodies[position], qos, False)
            position += 1
        link.poll(0, 0.05)
        confirmed.extend(link.sender.take_confirmed())
        return len(confirmed) == len(bodies)

    wait_until(all_confirmed, what=f"{len(bodies)} publishes confirmed; {_errors(link)}")
    return confirmed


def _errors(link: Link) -> str:
    return f"last errors: {link.subscriber.last_error}, {link.sender.last_error}"
