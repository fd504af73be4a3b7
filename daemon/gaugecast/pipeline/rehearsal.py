"""Rehearsal: a model is run over past inputs in a pipeline of its own, before the loop gives it a role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace
from gaugecast.model import Model
from gaugecast.pipeline import memories
from gaugecast.pipeline.meaning import goes_on
from gaugecast.pipeline.pipeline import Pipeline
from gaugecast.records import Input, Kind, Order
from gaugecast.streams.table import StreamTable

#: Streams all come at once here; that they were let in then is known.
_NO_LIMIT = 1e9


class Rehearsal:
    """Fleets with one model each, which begin without any state and are fed past inputs. One thread.

    Args:
        parts: The fleets as they are configured now, and a model that fits each.
        limits: As the loop has them.
        trace: Keep what is fed to the models, for the learner.
    """

    def __init__(self, parts: Sequence[tuple[Fleet, Model]], limits: Loop, *, trace: bool = False) -> None:
        self.fleets = {fleet.name: fleet for fleet, _ in parts}
        self._models: dict[str, Model] = {}
        alone = limits.model_copy(update={"new_streams_per_s": _NO_LIMIT})
        self._pipeline = Pipeline(alone, lambda fleet, _version: self._models[fleet], trace=trace)
        self._pipeline.advance([Order.configuring(fleet).stamped(0) for fleet, _ in parts])
        self._changes = 0
        for fleet, model in parts:
            self.use(fleet.name, model)

    def use(self, fleet: str, model: Model) -> None:
        """Go on under other weights of the same shape, which need no version."""
        self._changes += 1  # a number instead of a digest: nothing is stored here
        version = f"{self._changes:x}"
        self._models[fleet] = Model(replace(model.manifest, version=version), model.weights)
        event = events.ModelInstalled("in_force", version)
        self._pipeline.advance([Order(event, fleet).stamped(0)])

    def take(self, inputs: Iterable[Input]) -> list[tuple[str, Trace]]:
        """Step the models; what was fed to them, by fleet."""
        return self._pipeline.advance([one for one in inputs if self.concerns(one)]).traces

    def concerns(self, one: Input) -> bool:
        """Whether an input bears on the fleets' steps: their readings and resets, timers, sessions, the clock."""
        if one.kind == Kind.READING:
            return one.fleet in self.fleets
        if isinstance(one.event, events.StreamsReset):
            return one.fleet in self.fleets
        return one.kind == Kind.TIMER or isinstance(one.event, events.SessionLost | events.ClockStepped)

    def table(self, fleet: str) -> StreamTable:
        """The fleet's streams, as they are here."""
        return self._pipeline.parts[fleet].table

    def memories(self, fleet: str) -> list[bytes]:
        """What the fleet's model remembers of each stream."""
        return list(memories.memories_of(self._pipeline.parts[fleet], "in_force"))


def begins_after(
    told: Iterable[tuple[int, str, events.Event]],
    fleets: Mapping[str, Fleet],
    *,
    first_seq: int,
    upto_seq: int,
    most: int,
) -> int:
    """The input after which a rehearsal begins: not before the fleets had the features and the period they have now.

    Args:
        told: (seq, fleet, event) of the ledger's events.
        fleets: Those that are rehearsed.
        first_seq: The oldest kept input.
        upto_seq: Where it ends.
        most: Inputs to go back at most.
    """
    since = dict.fromkeys(fleets, 0)
    before: dict[str, Fleet] = {}
    for seq, name, event in told:
        if name in fleets and seq <= upto_seq and isinstance(event, events.FleetConfigured):
            configured = Fleet.from_json(event.spec)
            if name not in before or not goes_on(before[name], configured):
                since[name] = seq
            before[name] = configured
    return max(first_seq - 1, upto_seq - most, 0, *since.values())
