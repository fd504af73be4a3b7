"""A small plant on a fast clock: the shipped core, its status and its metrics, minute after minute, for a week.

One thread and no waiting. Real: `loop.core.Core` with its ledger and checkpoints, `service.reporter`, `metrics`, backup
and restore. Broker, connections and clock are those of `gaugecast.testing`; made here is what the disk refuses
(`plant`). `story` says what happens to the plant and which alerts that is worth, `series` is what Prometheus would have
scraped, as promtool reads it.
"""
