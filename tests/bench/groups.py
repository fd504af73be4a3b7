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
#: What one call without a name measures, in less than twenty minutes: a browser takes its time, and is asked by name.
WHOLE = tuple(name for name in GROUPS if name != "console")
