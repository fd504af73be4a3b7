"""Commands that come through the control socket, answered between two batches."""

from __future__ import annotations

import time

import msgspec

from gaugecast import events
from gaugecast.control import Command, StreamsQuery
from gaugecast.errors import ModelError
from gaugecast.loop.engines import EngineLoading
from gaugecast.loop.model_roles import is_shadow, measured
from gaugecast.records import Order
from gaugecast.service.daemon import Daemon
from gaugecast.service.warming import take_memory


def answer_command(daemon: Daemon, command: Command) -> bool:
    """Do what is asked, or say why not. False where neither can be done yet: it is to be asked again."""
    action = _ACTIONS.get(command.name)
    if action is None:
        command.refuse(f"one of {', '.join(sorted(_ACTIONS))} expected, got {command.name!r}")
        return True
    try:
        action(daemon, command)
    except EngineLoading:
        return False
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, ModelError) as exc:
        command.refuse(f"{command.name}: {exc}")
    return True


def _status(daemon: Daemon, command: Command) -> None:
    command.answer(daemon.status)


def _streams(daemon: Daemon, command: Command) -> None:
    query = msgspec.convert(dict(command.request), StreamsQuery)
    command.answer(daemon.streams_answer(query))


def _reset(daemon: Daemon, command: Command) -> None:
    fleet, stream = str(command.request["fleet"]), str(command.request.get("stream", ""))
    if fleet not in daemon.pipeline.parts:
        raise ValueError(f"one of {', '.join(daemon.pipeline.parts)} expected, got fleet {fleet!r}")
    daemon.order(Order(events.StreamsReset(), fleet, stream).stamped(daemon.clock.latest))
    command.answer()


def _hand_over(daemon: Daemon, command: Command) -> None:
    """From the learner, or from `gaugecast models shadow`: weights that the store has get a role.

    Where they go into shadow with what they remember of the streams beside them, that follows, a chunk a batch.
    """
    request = command.request
    fleet, version = str(request["fleet"]), str(request["version"])
    role, reason = str(request.get("role", "shadow")), str(request.get("reason", events.LEARNED))
    event = daemon.keeper.hand_over(fleet, version, role, reason)
    daemon.order(event)
    for chunk in take_memory(daemon.store.place(fleet, version)) if is_shadow(event) else ():
        daemon.order(Order(events.ShadowWarmed(version), fleet, state=chunk).stamped(0))
    command.answer()


def _promote(daemon: Daemon, command: Command) -> None:
    daemon.order(daemon.keeper.promote(str(command.request["fleet"])))
    command.answer()


def _roll_back(daemon: Daemon, command: Command) -> None:
    daemon.order(daemon.keeper.roll_back(str(command.request["fleet"])))
    command.answer()


def _models(daemon: Daemon, command: Command) -> None:
    """What is in force and in shadow, by fleet, with steps and skill."""
    fleets = {}
    for name, part in daemon.pipeline.parts.items():
        roles = {}
        for role, expert in part.experts.items():
            steps, gained = measured(part, expert)
            roles[role] = {"version": expert.version, "steps": steps, "skill": gained}
        standing = daemon.keeper.standing(name)
        fleets[name] = {"roles": roles, "good": standing.good, "rollbacks": standing.rollbacks_total}
    command.answer({"fleets": fleets})


def _learner(daemon: Daemon, command: Command) -> None:
    facts = {k: v for k, v in command.request.items() if k not in ("command", "fleet")}
    daemon.news.note(str(command.request["fleet"]), facts, time.monotonic())
    command.answer()


_ACTIONS = {
    "status": _status,
    "streams": _streams,
    "reset": _reset,
    "hand_over": _hand_over,
    "promote": _promote,
    "rollback": _roll_back,
    "models": _models,
    "learner": _learner,
}
