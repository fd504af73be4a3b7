"""Trouble with one of the two connections, for long: what the other does meanwhile, and must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from simulation.broker import Broker
from simulation.fleets import LIMITS
from simulation.life import Life
from simulation.points import Points, Violation
from simulation.sensors import Sensors

#: Turns within which something must have happened.
_PATIENCE = 400


class World(Protocol):
    """What is needed of a story."""

    broker: Broker
    sensors: Sensors
    life: Life
    points: Points

    def turn(self) -> None:
        """One round of the daemon, or its death and the next one's start."""


def overload(world: World) -> None:
    """More comes than the broker takes back: it comes through all the same."""
    _crowd(world)
    _turn_until_read(world, "although the broker confirms")


def no_publisher(world: World) -> None:
    """The connection that publishes is away: reading goes on, for the ledger is the larger queue."""
    world.broker.lets_publish = False
    world.broker.cut_publisher()
    _crowd(world)
    _turn_until_read(world, "while the connection that publishes is away")
    world.broker.lets_publish = True


def no_confirmations(world: World) -> None:
    """The broker is there and takes nothing: the same."""
    world.broker.deaf = True
    _crowd(world)
    _turn_until_read(world, "while the broker takes nothing")
    world.broker.deaf = False


def no_subscriber(world: World) -> None:
    """The connection that subscribes goes while forecasts are unconfirmed: what is durable goes out."""
    world.broker.deaf = True
    _crowd(world)
    _turn_until_read(world, "while the broker takes nothing")
    world.broker.lets_subscribe = False
    world.broker.cut_subscriber()
    world.broker.deaf = False
    for _ in range(_PATIENCE):
        world.turn()
        if not world.life.core.publisher.lag:
            break
    else:
        raise Violation("I3: nothing is published while the connection that subscribes is away")
    world.broker.lets_subscribe = True


def held_over_a_cut(world: World) -> None:
    """A batch waits for room on the disk while its session goes and another comes: its acks are for nobody."""
    for _ in range(6):
        world.turn()
    world.points.full = 10 * _PATIENCE
    _crowd(world)
    for _ in range(_PATIENCE):
        world.turn()
        if world.life.core.loop.holding:
            break
    world.broker.lose_session()
    for _ in range(10):
        world.turn()
        world.sensors.speak()
    world.points.full = 0
    _turn_until_read(world, "although there is room again")


TROUBLES: tuple[Callable[[World], None], ...] = (overload, no_publisher, no_confirmations, no_subscriber)


def _crowd(world: World) -> None:
    """More readings than forecasts may be unconfirmed."""
    for _ in range(2 * LIMITS.max_lag):
        world.sensors.speak()


def _turn_until_read(world: World, when: str) -> None:
    for _ in range(_PATIENCE):
        world.turn()
        if world.broker.idle:
            return
    raise Violation(f"I8: what the broker has for us is not read {when}")
