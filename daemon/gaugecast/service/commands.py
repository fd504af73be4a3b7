"""Commands that come through the control socket, answered between two batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gaugecast.control import Command, StreamsQuery
from gaugecast.pipeline import events

if TYPE_CHECKING:
    from gaugecast.service.daemon import Daemon


def answer_command(daemon: Daemon, command: Command) -> None:
    """Do what is asked, or say why not."""
    action = _ACTIONS.get(command.name)
    if action is None:
        command.refuse(f"one of {', '.join(sorted(_ACTIONS))} expected, got {command.name!r}")
        return
    try:
        action(daemon, command)
    except (msgspec.ValidationError, KeyError, ValueError) as exc:
        command.refuse(f"{command.name}: {exc}")


def _status(daemon: Daemon, command: Command) -> None:
    command.answer(daemon.status)


def _streams(daemon: Daemon, command: Command) -> None:
    query = msgspec.convert(dict(command.request), StreamsQuery)
    command.answer(daemon.streams_answer(query))


def _reset(daemon: Daemon, command: Command) -> None:
    fleet, stream = str(command.request["fleet"]), str(command.request.get("stream", ""))
    if fleet not in daemon.pipeline.lanes:
        raise ValueError(f"one of {', '.join(daemon.pipeline.lanes)} expected, got fleet {fleet!r}")
    daemon.order(
        events.event_input(events.StreamsReset(), received_at_ns=daemon.clock.latest, fleet=fleet, stream=stream)
    )
    command.answer()


_ACTIONS = {"status": _status, "streams": _streams, "reset": _reset}
