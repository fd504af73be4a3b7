"""What commands ask of a running daemon's models: which a configuration would put away, and how far learning is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from gaugecast.cli.foretold import expert_lines
from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, ModelsQuery, StatusQuery, call
from gaugecast.errors import GaugecastError, ModelError
from gaugecast.fleet import Fleet
from gaugecast.lessons import skill_means
from gaugecast.pipeline.fits import PutAway, models_put_away
from gaugecast.service.learning_mode import decide
from gaugecast.status import Status
from gaugecast.storage.models import ModelStore


def find_put_away(directory: Path, fleets: Sequence[Fleet]) -> list[PutAway]:
    """Models that a daemon which runs there has in force, and that these fleets would have no place for."""
    try:
        answer = call(directory / SOCKET_NAME, ModelsQuery())
    except GaugecastError:
        return []  # none runs, or it is another user's
    store, in_force = ModelStore(directory), []
    for name, entry in answer["fleets"].items():
        with contextlib.suppress(ModelError):
            if "in_force" in entry["roles"]:
                in_force.append(store.manifest(name, entry["roles"]["in_force"]["version"]))
    return models_put_away(in_force, fleets)


def tell_learning(settings: Settings) -> Iterator[str]:
    """Whether anything is learned, how far it is, and so why a table of models may be empty."""
    try:
        told = msgspec.convert(call(settings.storage.directory / SOCKET_NAME, StatusQuery()), Status)
    except (GaugecastError, msgspec.MsgspecError):
        yield f"no daemon runs here, so nothing has a role; learning would be {decide(settings.learning)}"
        return
    yield f"skill, a model's own: {skill_means(told.skill_half_life)}"
    yield f"learning {told.learning}"
    yield from (f"  {name}: {fleet.lesson}" for name, fleet, _ in told.at_work() if fleet.lesson)
    experts = [line for name, fleet, _ in told.at_work() for line in expert_lines(name, fleet)]
    if experts:
        yield "experts: share of what is published, and skill of their own"
        yield from (f"  {line}" for line in experts)
