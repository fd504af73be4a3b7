"""Anomalies, for the status, for the streams' own series and for `events`."""

from __future__ import annotations

import numpy as np

from gaugecast.control import AnomalyRow
from gaugecast.forecast.anomaly import alarm
from gaugecast.forecast.anomaly.layout import DETECTORS
from gaugecast.forecast.anomaly.message import name_of
from gaugecast.forecast.anomaly.reason import blamed
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Float64, Int64
from gaugecast.status import AnomalyStatus


def status_of(part: FleetPipeline) -> AnomalyStatus | None:
    """How many streams have an open event, and how many can be judged; `None` where nobody looks."""
    if part.anomalies is None:
        return None
    slots = part.table.live_slots()
    is_open = part.anomalies.events["open"][slots]
    critical = is_open & (part.anomalies.events["peak"][slots] >= alarm.CRITICAL)
    judged = np.isfinite(part.anomalies.columns["limit"][slots]).any(axis=(1, 2))
    count = int(np.count_nonzero(critical))
    return AnomalyStatus(
        warning=int(np.count_nonzero(is_open)) - count, critical=count, judged=int(np.count_nonzero(judged))
    )


def scores_of(part: FleetPipeline, slots: Int64) -> Float64 | None:
    """Scores of streams' forecast features (N, G), NaN = not judged now; `None` where nobody looks."""
    return None if part.anomalies is None else part.anomalies.scores(slots)


def anomaly_row(part: FleetPipeline, slot: int) -> AnomalyRow | None:
    """The open event of a stream, if there is one."""
    if part.anomalies is None or not part.anomalies.events["open"][slot]:
        return None
    events, stream = part.anomalies.events, part.table.names[slot] or ""
    peak, began = float(events["peak"][slot]), int(events["began"][slot])
    seen = [(part.fleet.features[f].name, DETECTORS[d], share) for f, d, share in blamed(events["blame"][slot])]
    return AnomalyRow(
        id=name_of(part.fleet.name, stream, began), began_s=began / 1e9, peak=peak,
        score=float(part.anomalies.columns["score"][slot].max()),
        severity=alarm.SEVERITIES[peak >= alarm.CRITICAL],
        shares={name: share for name, _, share in seen},
        detectors={name: detector for name, detector, _ in seen},
    )  # fmt: skip
