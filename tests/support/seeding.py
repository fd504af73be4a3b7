"""A state directory as if a model had been put in force there: for tests that want an LSTM at work from the start."""

from __future__ import annotations

from pathlib import Path

from gaugecast import events
from gaugecast.config.schema import Storage
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import SCHEMA
from gaugecast.ledger.store import Ledger
from gaugecast.model import Model
from gaugecast.records import Commit, Input, Order, Verdict
from gaugecast.storage.models import ModelStore


def seed_state(directory: Path, fleet: Fleet, model: Model) -> list[Input]:
    """Make the directory, store the weights, and commit the events that put lineage, fleet and model in force.

    Returns those events, so that a reference pipeline can take them too.
    """
    directory.mkdir(parents=True, exist_ok=True)
    version = ModelStore(directory).add(fleet.name, model)
    installed = events.ModelInstalled("in_force", version, sha256=model.manifest.sha256, reason="test")
    inputs = [
        Order(events.LineageBegun("0a0b0c0d", reason="test", schema=SCHEMA)).stamped(1),
        Order.configuring(fleet).stamped(1),
        Order(installed, fleet.name).stamped(1),
    ]
    ledger = Ledger.open(directory, Storage(directory=directory))
    try:
        ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))
    finally:
        ledger.close()
    return inputs
