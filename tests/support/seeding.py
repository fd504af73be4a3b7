"""A state directory as if a model had been put in force there: for tests that want an LSTM at work from the start."""

from __future__ import annotations

from pathlib import Path

from gaugecast.config.schema import Storage
from gaugecast.fleet import Fleet
from gaugecast.ledger.store import Ledger
from gaugecast.model import Model
from gaugecast.pipeline import events
from gaugecast.records import Input, Verdict
from gaugecast.service.models import ModelStore


def seed_state(directory: Path, fleet: Fleet, model: Model) -> list[Input]:
    """Make the directory, store the weights, and commit the two events that put fleet and model in force.

    Returns those events, so that a reference pipeline can take them too.
    """
    directory.mkdir(parents=True, exist_ok=True)
    version = ModelStore(directory).add(fleet.name, model)
    installed = events.ModelInstalled("in_force", version, sha256=model.manifest.sha256, reason="test")
    inputs = [
        events.configured(fleet, received_at_ns=1),
        events.event_input(installed, received_at_ns=1, fleet=fleet.name),
    ]
    ledger = Ledger.open(directory, Storage(directory=directory))
    try:
        ledger.commit(inputs, [Verdict.NONE] * len(inputs), [])
    finally:
        ledger.close()
    return inputs
