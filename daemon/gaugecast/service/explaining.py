"""Why: one stream taken again out of the ledger as it was known then, and beside it as it would have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.console.explained import ExplainView, Moment
from gaugecast.errors import WrongUse
from gaugecast.fleet import Fleet
from gaugecast.ledger.reads import Reader
from gaugecast.loop.recovery import Restored
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fits import check_fits
from gaugecast.pipeline.pipeline import ModelLoader
from gaugecast.pipeline.rebuilding import DETECTOR
from gaugecast.records import Input, Order
from gaugecast.service.moments import Watcher
from gaugecast.service.one_stream import Held, OneStream
from gaugecast.service.opening import open_models, open_reader
from gaugecast.storage.models import ModelStore

_INSTEAD = "instead"
#: What configures a fleet, or gives it a model.
_SETUPS = (events.FleetConfigured, events.ModelInstalled, events.ShadowPromoted, events.ShadowWarmed)


class Asked(NamedTuple):
    """Which steps are meant.

    Attributes:
        fleet: `None`: the only one that has such a stream.
        at_ns: The last of them is the one at this event time, or before it.
        steps: How many readings.
    """

    stream: str
    fleet: str | None
    at_ns: int
    steps: int


class Instead(NamedTuple):
    """What is tried beside: another configuration of the fleet, another model, or both."""

    fleet: Fleet | None = None
    model: Model | None = None


@dataclass(slots=True)
class Explained:
    """What a replay of one stream found.

    Attributes:
        moments: Steps in order, as they were.
        instead: The same steps, as they would have been; `None` = not asked.
        compared: Messages that were held against those published, of which so many `differing`.
        elsewhere: Some were first made on another machine, and are compared within a tolerance.
    """

    fleet: str
    stream: str
    moments: list[Moment] = field(default_factory=list)
    instead: list[Moment] | None = None
    compared: int = 0
    differing: int = 0
    elsewhere: bool = False


def explain(
    directory: Path,
    limits: Loop,
    asked: Asked,
    instead: Instead | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Explained:
    """Take a stream again alone, and note its last steps up to an instant.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
        asked: Which steps.
        instead: What is tried on the same readings, from as far back as the ledger goes.
        progress: Told inputs done, and how many there are.

    Raises:
        WrongUse: There is no such stream, or there are several, or nothing of it at that time; or no checkpoint is
            kept from which these steps would be exact.
        StorageError: No ledger, or no checkpoint that can be read.
        ModelError: What is tried does not fit the fleet.
    """
    with open_reader(directory) as ledger:
        fleet = _fleet_of(ledger, asked)
        one, store = _found(ledger, fleet, asked), open_models(directory)
        found = Explained(fleet, asked.stream)
        begin = one.restore(directory, lambda: Pipeline(limits, store.load))
        _as_it_was(ledger, one, begin, found, progress)
        if instead is not None:
            begin = one.restore(directory, lambda: Pipeline(limits, _with_model(store, instead)), oldest=True)
            found.instead = _Trial(one, begin.pipeline, instead).moments(begin.seq, progress)
        return found


class Explaining:
    """The same for those who cannot wait, from a checkpoint that is near, as a question of the API is answered."""

    def __init__(self, directory: Path, limits: Loop) -> None:
        self._directory, self._limits = directory, limits

    def __call__(self, fleet: str, stream: str, at_ns: int, steps: int) -> ExplainView:
        """The steps up to an event time.

        Raises:
            WrongUse, StorageError: As `explain`; the checkpoint is too far away.
        """
        with open_reader(self._directory) as ledger:
            one, store = _found(ledger, fleet, Asked(stream, fleet, at_ns, steps)), open_models(self._directory)
            begin = one.restore(self._directory, lambda: Pipeline(self._limits, store.load), far=False)
            found = Explained(fleet, stream)
            _as_it_was(ledger, one, begin, found)
        part = begin.pipeline.parts.get(fleet)
        return ExplainView(
            fleet=fleet, stream=stream, moments=found.moments, compared=found.compared, differing=found.differing,
            elsewhere=found.elsewhere,
            units={} if part is None else {each.name: each.unit for each in part.fleet.forecast_features},
        )  # fmt: skip


def _found(ledger: Reader, fleet: str, asked: Asked) -> OneStream:
    one = OneStream.find(ledger, fleet, asked.stream, to_ns=asked.at_ns, most=asked.steps)
    if one is None:
        raise WrongUse(f"the ledger has no readings of {asked.stream!r} up to then")
    return one


def _with_model(store: ModelStore, instead: Instead) -> ModelLoader:
    """Loads what is tried by a version that nothing else has."""
    return lambda fleet, version: instead.model if version == _INSTEAD else store.load(fleet, version)


def _fleet_of(ledger: Reader, asked: Asked) -> str:
    """Which fleet has readings of the stream.

    Raises:
        WrongUse: None, or several.
    """
    known = dict.fromkeys(name for _, name, event in ledger.events() if isinstance(event, events.FleetConfigured))
    wanted = [name for name in known if asked.fleet in (None, name)]
    found = [name for name in wanted if any(len(page.readings) for page in ledger.history(name, asked.stream, most=1))]
    if len(found) != 1:
        several = f"{asked.stream!r} is a stream of {' and '.join(found)}; say which with --fleet"
        raise WrongUse(several if found else f"the ledger has no readings of a stream {asked.stream!r}")
    return found[0]


def _as_it_was(
    ledger: Reader,
    one: OneStream,
    begin: Restored,
    found: Explained,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Note each step, and hold every message against what was published."""
    pipeline, watcher, held = begin.pipeline, Watcher(one.fleet), Held(ledger, one)
    for given, seq in one.steps(pipeline, begin.seq, progress=progress):
        if seq == one.first:
            watcher.skip(pipeline)
        watcher.note(pipeline, held.take(pipeline, given, seq)[1])
    found.moments, found.compared, found.differing = watcher.moments, held.compared, held.differing
    found.elsewhere = held.elsewhere


class _Trial:
    """Steps under what is tried; whatever configures the fleet, or gives it a model, is passed over."""

    def __init__(self, one: OneStream, pipeline: Pipeline, instead: Instead) -> None:
        self._one, self._pipeline, self._instead = one, pipeline, instead

    def moments(self, seq: int, progress: Callable[[int, int], None]) -> list[Moment]:
        """The steps that are meant; the pipeline stands after `seq`."""
        pipeline, watcher = self._pipeline, Watcher(self._one.fleet)
        self._try()
        for given, at in self._one.steps(pipeline, seq, apart=_is_setup, progress=progress):
            if _is_setup(given):
                self._set_up(given)
                continue
            if at == self._one.first:
                watcher.skip(pipeline)
            watcher.note(pipeline, self._one.its(pipeline.advance([given]).outputs, at))
        return watcher.moments

    def _try(self) -> None:
        part, instead = self._pipeline.parts.get(self._one.fleet), self._instead
        fleet = instead.fleet or (None if part is None else part.fleet)
        if fleet is None:
            return
        orders = [Order.configuring(replace(fleet, shapes=()))]
        if instead.model is not None:
            check_fits(instead.model, fleet)
            orders.append(Order(events.ModelInstalled("in_force", _INSTEAD), self._one.fleet))
        self._pipeline.advance([order.stamped(0) for order in orders])

    def _set_up(self, given: Input) -> None:
        """The fleet is configured, or is given a model: what is tried goes before."""
        if isinstance(given.event, events.FleetConfigured):
            if self._instead.fleet is None or self._one.fleet not in self._pipeline.parts:
                self._pipeline.advance([given])
                self._try()
        elif self._instead.model is None or getattr(given.event, "role", "") == DETECTOR:
            self._pipeline.advance([given])


def _is_setup(given: Input) -> bool:
    return isinstance(given.event, _SETUPS)
