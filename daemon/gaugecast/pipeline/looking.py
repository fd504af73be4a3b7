"""Who looks for anomalies of a fleet's streams, and who does no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugecast.events import ROLES, Role
from gaugecast.model import Model
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.pipeline.rebuilding import DETECTOR, Rebuilding

if TYPE_CHECKING:
    from gaugecast.pipeline.batch_result import Outcome
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline
    from gaugecast.records import Int64


def watch(part: FleetPipeline, before: Anomalies | None) -> None:
    """Let a fleet look for anomalies as it is configured; what is remembered of the same features is taken over."""
    for columns in before.tables().values() if before is not None else ():
        part.table.detach(columns)
    capacity = part.table.columns.capacity
    part.anomalies = Anomalies(part.fleet, capacity, before) if part.fleet.anomaly is not None else None
    for columns in part.anomalies.tables().values() if part.anomalies is not None else ():
        part.table.attach(columns)


def end_all(part: FleetPipeline, cause: int, result: Outcome, *, slots: Int64 | None = None) -> None:
    """End what is told of anomalies of streams (default: all): they leave, or nobody looks for them any more."""
    if part.anomalies is not None:
        slots = part.by_name(part.table.live_slots() if slots is None else slots)
        part.anomalies.end_all(part.table, slots, cause, part.writer.lineage, result)


def find_out_anew(part: FleetPipeline, slots: Int64, cause: int, result: Outcome) -> None:
    """What is usual of these streams is found out anew; what is open of them ends."""
    end_all(part, cause, result, slots=slots)
    if part.anomalies is not None:
        part.anomalies.columns.clear(slots)


def install(part: FleetPipeline, role: str, model: Model | None) -> bool:
    """Put a model, or none, in a role; in a fleet that does not look for anomalies none detects any.

    Returns whether all columns stayed as they were.
    """
    if role != DETECTOR:
        return part.install(role, model)
    watching = part.anomalies
    if watching is None:
        return True
    if watching.rebuilding is not None:
        part.table.detach(watching.rebuilding.columns)
    rebuilding = None if model is None else Rebuilding(part.fleet, model, part.table.columns.capacity)
    if rebuilding is not None:
        part.table.attach(rebuilding.columns)
    watching.use(rebuilding)
    return False


def version_of(part: FleetPipeline) -> str:
    """Of the autoencoder in force; empty where there is none."""
    watching = part.anomalies
    return "" if watching is None or watching.rebuilding is None else watching.rebuilding.version


def roles_of(part: FleetPipeline) -> list[Role]:
    """Those that weights may have for a fleet: nothing detects where nobody looks for anomalies."""
    return [role for role in ROLES.values() if role != DETECTOR or part.anomalies is not None]


def versions_of(part: FleetPipeline) -> dict[str, str]:
    """By role, which weights a fleet has."""
    detector = version_of(part)
    experts = {role: expert.version for role, expert in part.experts.items()}
    return experts | ({DETECTOR: detector} if detector else {})
