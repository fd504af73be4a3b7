"""Parked streams that speak again: each is brought back by an order that is taken before its reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gaugecast import events
from gaugecast.errors import StorageBusy
from gaugecast.loop.ports import ParkedStreams
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Kind, Order


def orders_to_unpark(
    inputs: Sequence[Input],
    parked: ParkedStreams,
    pipeline: Pipeline,
    *,
    most_streams: int,
    bide: Callable[[], None] = lambda: None,
) -> list[Order]:
    """Orders that bring back the streams of these inputs which are parked, as far as there is room for them.

    Args:
        bide: Called again and again while the ledger is away, until it answers: the inputs wait, and so do we.
    """
    if parked.parked_count() == 0:
        return []
    found: dict[tuple[str, str], Order] = {}
    room = most_streams - pipeline.streams
    for one in inputs:
        if len(found) >= room:
            break  # `advance` refuses the rest, as it would new streams
        name = (one.fleet, one.stream)
        if one.kind != Kind.READING or name in found or pipeline.knows(*name):
            continue
        state = _state_of(parked, *name, bide=bide)
        if state is not None:
            found[name] = Order(events.StreamUnparked(), one.fleet, one.stream, state)
    return list(found.values())


def _state_of(parked: ParkedStreams, fleet: str, stream: str, *, bide: Callable[[], None]) -> bytes | None:
    while True:
        try:
            return parked.parked_state(fleet, stream)
        except StorageBusy:
            bide()
