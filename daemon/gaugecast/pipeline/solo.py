"""A pipeline of its own: fleets with one model each, run over inputs that the daemon is not asked about."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace
from gaugecast.model import Model
from gaugecast.pipeline import memories
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.meaning import goes_on
from gaugecast.pipeline.pipeline import Pipeline
from gaugecast.records import Input, Kind, Order

#: Streams all come at once here; that they were let in then is known.
_NO_LIMIT = 1e9


class SoloPipeline:
    """Fleets with one model each, which begin without any state and are fed past inputs. One thread.

    Args:
        parts: The fleets as they are configured now, and a model that fits each; `None` = the last value is repeated.
        limits: As the loop has them.
        trace: Keep what is fed to the models, for whoever learns.
        mute: Say nothing, and look no further than the next step.
    """

    def __init__(
        self, parts: Sequence[tuple[Fleet, Model | None]], limits: Loop, *, trace: bool = False, mute: bool = False
    ) -> None:
        parts = [(replace(fleet, shapes=()), model) for fleet, model in parts]  # batches have no ends here
        self.fleets = {fleet.name: fleet for fleet, _ in parts}
        self._models: dict[str, Model] = {}
        alone = limits.model_copy(update={"new_streams_per_s": _NO_LIMIT})
        self._pipeline = Pipeline(alone, lambda fleet, _version: self._models[fleet], trace=trace, mute=mute)
        self._pipeline.advance([Order.configuring(fleet).stamped(0) for fleet, _ in parts])
        self._changes = 0
        for fleet, model in parts:
            if model is not None:
                self.use(fleet.name, model)

    def use(self, fleet: str, model: Model) -> None:
        """Go on under other weights of the same shape; where they have no version, they get a number."""
        self._changes += 1  # nothing is stored here, and a digest costs more than an update
        version = model.manifest.version or f"{self._changes:x}"
        self._models[fleet] = Model(replace(model.manifest, version=version), model.weights)
        event = events.ModelInstalled("in_force", version)
        self._pipeline.advance([Order(event, fleet).stamped(0)])

    def advance(self, inputs: Sequence[Input]) -> Outcome:
        """As `Pipeline.advance`."""
        return self._pipeline.advance(inputs)

    def take(self, inputs: Iterable[Input]) -> list[tuple[str, Trace]]:
        """Step the models; what was fed to them, by fleet."""
        return self._pipeline.advance([one for one in inputs if self.concerns(one)]).traces

    def concerns(self, one: Input) -> bool:
        """Whether an input bears on the fleets' steps."""
        return concerns(one, self.fleets)

    def part(self, fleet: str) -> FleetPipeline:
        """The fleet, as it is here."""
        return self._pipeline.parts[fleet]

    @property
    def whole(self) -> Pipeline:
        """All of it, to be read."""
        return self._pipeline

    def memories(self, fleet: str) -> list[bytes]:
        """What the fleet's model remembers of each stream."""
        return list(memories.memories_of(self._pipeline.parts[fleet], "in_force"))


def concerns(one: Input, fleets: Container[str]) -> bool:
    """Whether an input bears on the steps of these fleets: readings, history, resets, timers, sessions, the clock."""
    if one.kind == Kind.READING or isinstance(one.event, events.StreamsReset | events.HistoryLoaded):
        return one.fleet in fleets
    return one.kind == Kind.TIMER or isinstance(one.event, events.SessionLost | events.ClockStepped)


def begins_after(
    told: Iterable[tuple[int, str, events.Event]],
    fleets: Mapping[str, Fleet],
    *,
    first_seq: int,
    upto_seq: int,
    most: int,
) -> int:
    """The input after which going over the past begins: not before the fleets had the features and period of now.

    Args:
        told: (seq, fleet, event) of the ledger's events.
        fleets: Those that go over it.
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
