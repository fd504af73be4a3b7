"""Commands that come through the control socket, answered between two batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from gaugecast import events
from gaugecast.config.saying import id_fault
from gaugecast.control import (
    Acknowledge,
    Command,
    Forget,
    ForgetFleet,
    HandOver,
    LearnerReport,
    LoadHistory,
    ModelsQuery,
    Promote,
    Refit,
    Rename,
    Request,
    Reset,
    RollBack,
    Silence,
    StatusQuery,
    StreamsAnswer,
    StreamsQuery,
    TableQuery,
)
from gaugecast.errors import ModelError
from gaugecast.loop.core import Core
from gaugecast.loop.engines import EngineLoading
from gaugecast.loop.model_roles import measured
from gaugecast.pipeline import looking
from gaugecast.pipeline.rebuilding import DETECTOR
from gaugecast.records import Order
from gaugecast.service import anomalies, loading, reports
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.tables import table_of
from gaugecast.status import Status

Answer = msgspec.Struct | dict[str, Any] | None


class Commands:
    """Owned by the loop's thread.

    Args:
        core: What is asked about, and what carries out orders.
        monitor: Hears what the learner says of itself.
        status: The newest account of the daemon.
        put_away: What the status tells of models that left with their fleets, by fleet.
    """

    def __init__(
        self, core: Core, monitor: LearnerMonitor, status: Callable[[], Status], *,
        put_away: Callable[[], dict[str, str]] = dict,
    ) -> None:  # fmt: skip
        self._core, self._monitor, self._status, self._put_away = core, monitor, status, put_away
        self._waiting: list[Command] = []  # one at most, for an engine that is being loaded

    def answer(self, commands: list[Command]) -> None:
        """Answer those that came, and the one that waits; a second that would have to wait is refused."""
        waiting = [command for command in [*self._waiting, *commands] if not self._answer(command)]
        self._waiting = waiting[:1]
        for late in waiting[1:]:
            late.refuse(f"{late.name}: an engine is being loaded for another command; ask again")

    def _answer(self, command: Command) -> bool:
        """Do what is asked, or say why not. False where neither can be done yet: it is to be asked again."""
        try:
            content = self.act(command.request)
        except EngineLoading:
            return False
        except ModelError as exc:
            command.refuse(f"{command.name}: {exc}")
        else:
            command.answer(content)
        return True

    def act(self, request: Request) -> Answer:
        """Do what is asked; what is to be answered.

        Raises:
            ModelError: It cannot be done, and why.
            EngineLoading: Not yet.
        """
        core = self._core
        match request:
            case StatusQuery():
                return self._status()
            case StreamsQuery():
                rows, total = reports.stream_rows(core.pipeline, request)
                return StreamsAnswer(rows=rows, total=total, status=self._status())
            case TableQuery():
                return table_of(core.pipeline, request)
            case Reset():
                core.roles.part(request.fleet)  # refuses a fleet that there is not
                core.order(Order(events.StreamsReset(), request.fleet, request.stream))
            case Acknowledge() | Refit() | Silence():
                core.order(anomalies.order_of(core.roles.part(request.fleet), request))
            case Forget():
                for order in self._forget(request):
                    core.order(order)
            case ForgetFleet():
                core.order(self._forget_fleet(request.fleet))
            case Rename():
                for order in self._rename(request):
                    core.order(order)
            case HandOver():
                for order in core.roles.hand_over(request.fleet, request.version, request.role, request.reason):
                    core.order(order)
            case Promote():
                core.order(core.roles.promote(request.fleet))
            case RollBack():
                detects, fleet = request.detector, request.fleet
                core.order(_take_away(core, fleet) if detects else core.roles.roll_back(fleet))
            case ModelsQuery():
                return self._models()
            case LoadHistory():
                core.order(loading.order_of_request(core, request))
            case LearnerReport():
                self._monitor.note(request, time.monotonic())
            case _:
                assert_never(request)
        return None

    def _forget(self, request: Forget) -> list[Order]:
        """Of a stream that is active, or parked."""
        active, parked = self._find(request.fleet, request.stream)
        if not active and parked is None:
            raise ModelError(f"fleet {request.fleet} has no stream {request.stream!r}")
        return [Order(events.StreamForgotten(parked=parked is not None), request.fleet, request.stream)]

    def _forget_fleet(self, fleet: str) -> Order:
        """Of one that was configured once, and is no longer."""
        core = self._core
        at_work = {*core.pipeline.parts, *(one.name for one in core.setup.fleets)}
        if fleet in at_work:
            raise ModelError(
                f"fleet {fleet} is configured: take [fleet.{fleet}] out of the file and reload, then ask again"
            )
        left = _known_fleets(core) - at_work
        if fleet not in left:
            found = ", ".join(sorted(left)) or "none"
            raise ModelError(f"nothing is left of a fleet {fleet[:64]!r}; no longer configured: {found}")
        try:
            core.roles.forget(fleet)
        except OSError as exc:
            raise ModelError(f"fleet {fleet} cannot be forgotten: {exc}") from exc
        self._put_away().pop(fleet, None)
        return Order(events.FleetForgotten(), fleet)

    def _rename(self, request: Rename) -> list[Order]:
        """One that is parked is brought back first."""
        fleet, stream, to = request.fleet, request.stream, request.to
        active, parked = self._find(fleet, stream)
        if not active and parked is None:
            raise ModelError(f"fleet {fleet} has no stream {stream!r}")
        taken, waiting = self._find(fleet, to)
        if taken or waiting is not None:
            raise ModelError(
                f"fleet {fleet} has a stream {to!r} already; `streams forget` it first, or choose another id"
            )
        fault = id_fault(self._core.roles.part(fleet).fleet, to)
        if fault:
            raise ModelError(f"the forecasts of {to!r} could not be published: {fault}")
        renamed = Order(events.StreamRenamed(to), fleet, stream)
        return [renamed] if active else [Order(events.StreamUnparked(), fleet, stream, parked or b""), renamed]

    def _find(self, fleet: str, stream: str) -> tuple[bool, bytes | None]:
        """Whether a stream is active; its state, if it is parked."""
        self._core.roles.part(fleet)  # refuses a fleet that there is not
        active = self._core.pipeline.knows(fleet, stream)
        return active, None if active else self._core.ledger.parked_state(fleet, stream)

    def _models(self) -> dict[str, Any]:
        """What is in force and in shadow, and what detects, by fleet, with steps and skill."""
        fleets = {}
        for name, part in self._core.pipeline.parts.items():
            roles: dict[str, Any] = {}
            for role, expert in part.experts.items():
                steps, gained = measured(part, expert)
                known = gained if steps > 0 else None  # 0 would say that it was scored, and is no better
                roles[role] = {"version": expert.version, "steps": steps, "skill": known}
            if detector := looking.version_of(part):
                roles[DETECTOR] = {"version": detector, "steps": 0.0, "skill": None}
            standing = self._core.roles.standing(name)
            fleets[name] = {"roles": roles, "good": standing.good, "rollbacks": standing.rollbacks_total}
        return {"fleets": fleets}


def _take_away(core: Core, fleet: str) -> Order:
    """The autoencoder in force looks no more; what would forecast after a rollback stays as it is."""
    if not looking.version_of(core.roles.part(fleet)):
        raise ModelError(f"fleet {fleet!r}: an autoencoder in force expected, there is none")
    good = core.roles.standing(fleet).good
    return Order(events.ModelInstalled(DETECTOR, "", reason=events.ROLLBACK, good=good), fleet)


def _known_fleets(core: Core) -> set[str]:
    """Fleets, configured or not, of which an event, weights or step numbers are kept."""
    told = {fleet for _, fleet, event in core.ledger.events() if isinstance(event, events.FleetConfigured)}
    return told | core.roles.fleets() | core.pipeline.steps.fleets()
