"""`explain`: one stream replayed out of the ledger as it was known then, and beside it as it would have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import StorageError, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import SCHEMA
from gaugecast.ledger.reads import Reader
from gaugecast.ledger.rows import StoredBatch
from gaugecast.loop.recovery import Restored, count_differing, machine_of, restore_newest
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fits import check_fits
from gaugecast.pipeline.pipeline import ModelLoader
from gaugecast.records import Input, Kind, Order, Verdict
from gaugecast.service.moments import Moment, Watcher
from gaugecast.service.opening import open_models, open_reader
from gaugecast.storage import checkpoints
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
    """Replay a stream alone, and note its last steps up to an instant.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
        asked: Which steps.
        instead: What is tried on the same readings, from as far back as the ledger goes.
        progress: Told inputs done, and how many there are.

    Raises:
        WrongUse: There is no such stream, or there are several, or nothing of it at that time.
        StorageError: No ledger, or no checkpoint from which a replay of these steps is exact.
        ModelError: What is tried does not fit the fleet.
    """
    with open_reader(directory) as ledger:
        fleet = _fleet_of(ledger, asked)
        first, last = _window(ledger, fleet, asked)
        exact = checkpoints.oldest_exact(directory, ledger.first_seq)
        if exact is None or first <= exact:
            raise StorageError(f"inputs from {(exact or 0) + 1} on can be replayed exactly; these begin at {first}")
        store = open_models(directory)
        run = _Run(ledger, fleet, asked.stream, (first, last), progress)
        found = Explained(fleet, asked.stream)
        run.as_it_was(_restored(directory, lambda: Pipeline(limits, store.load), first - 1, exact), found)
        if instead is not None:
            begin = _restored(directory, lambda: Pipeline(limits, _with_model(store, instead)), exact, exact)
            run.as_it_would_be(begin, instead, found)
        return found


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


def _window(ledger: Reader, fleet: str, asked: Asked) -> tuple[int, int]:
    """First and last input of the readings that are meant.

    Raises:
        WrongUse: There are none.
    """
    seqs: list[int] = []
    for page in ledger.history(fleet, asked.stream, to_ns=asked.at_ns + 1, most=asked.steps):
        seqs += page.readings.seqs.tolist()
        if len(seqs) >= asked.steps:
            break
    if not seqs:
        raise WrongUse(f"the ledger has no readings of {asked.stream!r} up to then")
    return min(seqs[: asked.steps]), max(seqs[: asked.steps])


def _restored(directory: Path, new_pipeline: Callable[[], Pipeline], upto_seq: int, exact: int) -> Restored:
    restored = restore_newest(directory, new_pipeline, upto_seq=upto_seq, choose=checkpoints.at_or_before)
    if restored.seq < exact:
        raise StorageError("; ".join(restored.passed_over) or f"{directory}: no checkpoint from {exact} on")
    return restored


class _Run:
    """Takes the inputs of one stream up to the last step that is asked for; in a batch up to the first."""

    def __init__(
        self, ledger: Reader, fleet: str, stream: str, window: tuple[int, int],
        progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._ledger, self._fleet, self._names = ledger, fleet, {stream}
        (self._first, self._last), self._progress = window, progress
        self._same_machine = machine_of(ledger, fingerprint())

    def as_it_was(self, restored: Restored, found: Explained) -> None:
        """Note each step, and hold every message against what was published."""
        pipeline, watcher = restored.pipeline, self._begin(restored)
        for one, seq in self._inputs(restored, watcher):
            of_today, exact = pipeline.schema >= SCHEMA, self._same_machine(seq)
            outcome = pipeline.advance([one])
            watcher.note(pipeline, outcome)
            made = [each for each in outcome.outputs if watcher.is_its(each)]
            stored = [
                each
                for each in self._ledger.outputs(seq - 1, seq)
                if each.fleet == self._fleet and each.stream in self._names
            ]
            found.compared += len(made)
            found.elsewhere |= not exact
            found.differing += count_differing(made, iter(stored), exact=exact, bodies=of_today)
        found.moments = watcher.moments

    def as_it_would_be(self, restored: Restored, instead: Instead, found: Explained) -> None:
        """Note each step under what is tried; whatever configures the fleet, or gives it a model, is passed over."""
        pipeline, watcher = restored.pipeline, self._begin(restored)
        self._try(pipeline, instead)
        for one, _ in self._inputs(restored, watcher, instead):
            watcher.note(pipeline, pipeline.advance([one]))
        found.instead = watcher.moments

    def _begin(self, restored: Restored) -> Watcher:
        pipeline = restored.pipeline
        self._follow_names(restored.seq)
        pipeline.parts = {name: part for name, part in pipeline.parts.items() if name == self._fleet}
        for part in pipeline.parts.values():
            for name in set(part.table.slots) - self._names:
                part.table.remove(name)
        return Watcher(self._fleet, self._names)

    def _follow_names(self, after: int) -> None:
        """What the stream was called before it was renamed."""
        if any(isinstance(event, events.StreamRenamed) for seq, _, event in self._ledger.events(after)):
            renamed = [
                (one.stream, one.event.to)
                for batch in self._ledger.replay(after, upto_seq=self._last)
                for one in batch.inputs
                if isinstance(one.event, events.StreamRenamed) and one.fleet == self._fleet
            ]
            for before, to in reversed(renamed):
                if to in self._names:
                    self._names.add(before)

    def _try(self, pipeline: Pipeline, instead: Instead) -> None:
        part = pipeline.parts.get(self._fleet)
        fleet = instead.fleet or (None if part is None else part.fleet)
        if fleet is None:
            return
        orders = [Order.configuring(replace(fleet, shapes=()))]
        if instead.model is not None:
            check_fits(instead.model, fleet)
            orders.append(Order(events.ModelInstalled("in_force", _INSTEAD), self._fleet))
        pipeline.advance([order.stamped(0) for order in orders])

    def _inputs(
        self, restored: Restored, watcher: Watcher, instead: Instead | None = None
    ) -> Iterator[tuple[Input, int]]:
        """Those of the window, one by one, each with its seq; those before it are taken on the way."""
        pipeline, waiting = restored.pipeline, _Waiting(restored.pipeline)
        for batch in self._ledger.replay(restored.seq, upto_seq=self._last):
            for one, seq in self._own(batch, pipeline):
                if instead is not None and isinstance(one.event, _SETUPS):
                    waiting.flush()
                    self._set_up(pipeline, one, instead)
                elif seq < self._first:
                    waiting.inputs.append(one)
                else:
                    waiting.flush()
                    if seq == self._first:
                        watcher.skip(pipeline)
                    yield one, seq
            waiting.flush()
            done = batch.first_seq + len(batch.inputs) - 1 - restored.seq
            self._progress(done, self._last - restored.seq)

    def _set_up(self, pipeline: Pipeline, one: Input, instead: Instead) -> None:
        """The fleet is configured, or is given a model: what is tried goes before."""
        if isinstance(one.event, events.FleetConfigured):
            if instead.fleet is None or self._fleet not in pipeline.parts:
                pipeline.advance([one])
                self._try(pipeline, instead)
        elif instead.model is None:
            pipeline.advance([one])

    def _own(self, batch: StoredBatch, pipeline: Pipeline) -> Iterator[tuple[Input, int]]:
        """Whatever bears on the stream; what was refused before it could begin is none of it, for here is room."""
        rows = batch.inputs
        known = any(pipeline.knows(self._fleet, name) for name in self._names)
        for i, kind in enumerate(rows.kind):
            if kind == Kind.READING:
                own = rows.fleet[i] == self._fleet and rows.stream[i] in self._names
                own = own and (known or batch.verdicts[i] != Verdict.REJECTED)
                known |= own
            else:
                own = kind in (Kind.TIMER, Kind.EVENT) and rows.fleet[i] in ("", self._fleet)
                own = own and rows.stream[i] in ("", *self._names)
            if own:
                yield rows[i], batch.first_seq + i


class _Waiting:
    """Inputs that nobody looks at, taken together."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.inputs: list[Input] = []

    def flush(self) -> None:
        """Take them."""
        if self.inputs:
            self._pipeline.advance(self.inputs)
            self.inputs = []
