"""What Prometheus is told: facts come in once a batch, text goes out once a scrape.

`facts` says what the loop hands over, `catalogue` which metrics exist, `tally` adds rounds up, `gauges` reads the
last published state, `series` prints the per-stream columns, `exporter.Metrics` is what `service` holds.
The only package that imports prometheus_client.
"""

from gaugecast.metrics.exporter import Metrics
from gaugecast.metrics.facts import (
    DEGRADED_REASONS,
    STAGES,
    FeatureScore,
    FleetState,
    LearnerState,
    Round,
    State,
    StreamColumns,
)

__all__ = [
    "DEGRADED_REASONS",
    "STAGES",
    "FeatureScore",
    "FleetState",
    "LearnerState",
    "Metrics",
    "Round",
    "State",
    "StreamColumns",
]
