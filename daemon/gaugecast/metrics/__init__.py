"""What Prometheus is told: one row a metric, each with where in the status its value stands.

`catalogue` says which metrics exist and how each reads the status tree, `histograms` measures rounds, `series` prints
the per-stream columns, `exporter.Metrics` is what `service` holds. The only package that imports prometheus_client.
"""

from gaugecast.metrics.exporter import Metrics
from gaugecast.metrics.facts import STAGES, RoundFacts, StreamColumns

__all__ = ["STAGES", "Metrics", "RoundFacts", "StreamColumns"]
