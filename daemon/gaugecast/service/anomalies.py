"""Anomalies, for the status, for the streams' own series and for `events`."""

from __future__ import annotations

import numpy as np

from gaugecast.control import Acknowledge, AnomalyRow, Refit, Silence
from gaugecast.errors import ModelError
from gaugecast.events import AnomaliesRefitted, AnomalyAcknowledged, StreamSilenced
from gaugecast.forecast.anomaly import alarm
from gaugecast.forecast.anomaly.message import name_of
from gaugecast.forecast.anomaly.reason import blamed
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Float64, Int64, Order
from gaugecast.status import AnomalyStatus


def status_of(part: FleetPipeline) -> AnomalyStatus | None:
    """How many streams have an open event, and how many can be judged; `None` where nobody looks."""
    if part.anomalies is None:
        return None
    slots = part.table.live_slots()
    events = part.anomalies.events
    silenced = part.table["received"][slots] < events["silenced"][slots]
    severity = alarm.severity_of(events["peak"][slots], silenced)[events["open"][slots]]
    counts = np.bincount(severity, minlength=len(alarm.SEVERITIES)).tolist()
    limit = part.anomalies.columns["limit"][slots]
    judged = np.isfinite(limit).any(axis=tuple(range(1, limit.ndim)))
    return AnomalyStatus(**dict(zip(alarm.SEVERITIES, counts, strict=True)), judged=int(np.count_nonzero(judged)))


def scores_of(part: FleetPipeline, slots: Int64) -> Float64 | None:
    """Scores of streams' forecast features (N, G), NaN = not judged now; `None` where nobody looks."""
    return None if part.anomalies is None else part.anomalies.scores(slots)


def anomaly_row(part: FleetPipeline, slot: int) -> AnomalyRow | None:
    """The open event of a stream, if there is one."""
    if part.anomalies is None or not part.anomalies.events["open"][slot]:
        return None
    events, stream = part.anomalies.events, part.table.names[slot] or ""
    peak, began = float(events["peak"][slot]), int(events["began"][slot])
    names, blame = part.anomalies.detectors, part.anomalies.blame_of(slot)
    seen = [(part.fleet.features[f].name, names[d], share) for f, d, share in blamed(blame)]
    return AnomalyRow(
        id=name_of(part.fleet.name, stream, began), began_s=began / 1e9, peak=peak,
        score=float(part.anomalies.score_of(slot).max()),
        severity=part.anomalies.severity(slot, part.table), acknowledged=bool(events["acknowledged"][slot]),
        shares={name: share for name, _, share in seen},
        detectors={name: detector for name, detector, _ in seen},
    )  # fmt: skip


def silenced_until_s(part: FleetPipeline, slot: int) -> float | None:
    """Until when somebody wants no noise of a stream, Unix seconds; `None` = nobody does now."""
    if part.anomalies is None:
        return None
    until = int(part.anomalies.events["silenced"][slot])
    return until / 1e9 if until > int(part.table["received"][slot]) else None


def order_of(part: FleetPipeline, request: Acknowledge | Refit | Silence) -> Order:
    """What somebody says of a stream's anomalies.

    Raises:
        ModelError: Nobody looks for any, the stream is not active, or there is nothing to acknowledge.
    """
    fleet, stream = part.fleet.name, request.stream
    if part.anomalies is None:
        raise ModelError(f"fleet {fleet} does not look for anomalies: a table [fleet.{fleet}.anomaly] expected")
    slot = part.table.slots.get(stream)
    if isinstance(request, Refit) and not stream:
        return Order(AnomaliesRefitted(), fleet)
    if slot is None:
        raise ModelError(f"fleet {fleet} has no active stream {stream!r}")
    if isinstance(request, Refit):
        return Order(AnomaliesRefitted(), fleet, stream)
    if isinstance(request, Silence):
        return Order(StreamSilenced(round(request.for_s * 1e9)), fleet, stream)
    row = anomaly_row(part, slot)
    if row is None:
        raise ModelError(f"nothing is wrong with {stream!r} of fleet {fleet}: no anomaly is open")
    return Order(AnomalyAcknowledged(row.id), fleet, stream)
