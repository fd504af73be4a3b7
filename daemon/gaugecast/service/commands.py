"""Commands that come through the control socket, answered between two batches."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from gaugecast import events
from gaugecast.control import (
    Command,
    HandOver,
    Learner,
    Models,
    Promote,
    Request,
    Reset,
    RollBack,
    Status,
    Streams,
)
from gaugecast.errors import ModelError
from gaugecast.loop.engines import EngineLoading
from gaugecast.loop.model_roles import is_shadow, measured
from gaugecast.records import Order
from gaugecast.service.daemon import Daemon
from gaugecast.service.warming import take_memory


def answer_command(daemon: Daemon, command: Command) -> bool:
    """Do what is asked, or say why not. False where neither can be done yet: it is to be asked again."""
    try:
        content = _act(daemon, command.request)
    except EngineLoading:
        return False
    except (TypeError, ValueError, ModelError) as exc:
        command.refuse(f"{command.name}: {exc}")
    else:
        command.answer(content)
    return True


def _act(daemon: Daemon, request: Request) -> msgspec.Struct | dict[str, Any] | None:
    """Do what is asked; what is to be answered."""
    match request:
        case Status():
            return daemon.status
        case Streams():
            return daemon.streams_answer(request)
        case Reset():
            _reset(daemon, request)
        case HandOver():
            _hand_over(daemon, request)
        case Promote():
            daemon.order(daemon.keeper.promote(request.fleet))
        case RollBack():
            daemon.order(daemon.keeper.roll_back(request.fleet))
        case Models():
            return _models(daemon)
        case Learner():
            facts = msgspec.structs.asdict(request)
            daemon.news.note(facts.pop("fleet"), facts, time.monotonic())
    return None


def _reset(daemon: Daemon, request: Reset) -> None:
    if request.fleet not in daemon.pipeline.parts:
        raise ValueError(f"one of {', '.join(daemon.pipeline.parts)} expected, got fleet {request.fleet!r}")
    daemon.order(Order(events.StreamsReset(), request.fleet, request.stream).stamped(daemon.clock.latest))


def _hand_over(daemon: Daemon, request: HandOver) -> None:
    """From the learner, or from `gaugecast models shadow`: weights that the store has get a role.

    Where they go into shadow with what they remember of the streams beside them, that follows, a chunk a batch.
    """
    fleet, version = request.fleet, request.version
    event = daemon.keeper.hand_over(fleet, version, request.role, request.reason)
    daemon.order(event)
    for chunk in take_memory(daemon.store.place(fleet, version)) if is_shadow(event) else ():
        daemon.order(Order(events.ShadowWarmed(version), fleet, state=chunk).stamped(0))


def _models(daemon: Daemon) -> dict[str, Any]:
    """What is in force and in shadow, by fleet, with steps and skill."""
    fleets = {}
    for name, part in daemon.pipeline.parts.items():
        roles = {}
        for role, expert in part.experts.items():
            steps, gained = measured(part, expert)
            roles[role] = {"version": expert.version, "steps": steps, "skill": gained}
        standing = daemon.keeper.standing(name)
        fleets[name] = {"roles": roles, "good": standing.good, "rollbacks": standing.rollbacks_total}
    return {"fleets": fleets}
