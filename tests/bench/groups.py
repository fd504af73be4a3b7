"""The groups of figures, each a module with a `measure(scale)`, in the order in which they are measured."""

from __future__ import annotations

GROUPS = (
    "throughput",
    "overload",
    "catchup",
    "arrays",
    "queued",
    "latency",
    "disk",
    "one_stream",
    "rss",
    "restart",
    "scrape",
    "engine",
    "cost",
    "horizons",
    "anomaly",
    "learner",
    "console",
)
