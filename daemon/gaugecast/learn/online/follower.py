"""Takes again what the loop has taken: the learner's own pipeline, at the ledger's tail, for the streams it samples.

Of a fleet whose weights are in force, the states here are the loop's own. Of one that has none yet, our newest
weights are in force here, while the loop has them in shadow or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast import events
from gaugecast.config.schema import Settings
from gaugecast.errors import ModelError
from gaugecast.learn.online.fleet_learner import FleetLearner, errors_by_stream, why_spared
from gaugecast.learn.online.history_bootstrap import HistoryBootstrap
from gaugecast.learn.online.ports import LedgerHistory, RestoreNewest, Store
from gaugecast.logs import get
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline, memories
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Input, Kind, Order

log = get("gaugecast.learn")


class Follower:
    """Owns the process's pipeline and the fleets' learners. One thread.

    Attributes:
        learners: By fleet.
        spared: Why the others' weights in force are left as they are, by fleet.
        seq: The newest input taken.
        newest_ns: When the loop had received it.
    """

    def __init__(self, settings: Settings, *, reader: LedgerHistory, restore: RestoreNewest, store: Store) -> None:
        self.learners: dict[str, FleetLearner] = {}
        self.spared: dict[str, str] = {}
        self.seq = 0
        self.newest_ns = 0
        self._settings, self._reader, self._restore, self._store = settings, reader, restore, store
        self._private: tuple[str, Model] | None = None
        self._again = False  # what is taken now was taken before
        self._bootstrap: HistoryBootstrap | None = None
        self._present = 0  # the ledger's end when we began

    @property
    def behind_s(self) -> float:
        """How far we are behind the ledger's end."""
        if not self.newest_ns or self._reader.last_seq <= self.seq:
            return 0.0
        return max(0.0, (self._reader.received_at_ns - self.newest_ns) / 1e9)

    def begin(self) -> None:
        """Stand where the newest checkpoint stands. Learners stay, if their fleets do; the streams' places are lost.

        Where another ledger stands in its place, none stay.

        Raises:
            StorageError: The ledger cannot be read; to be called again.
        """
        self._leave_if_replaced()
        self.pipeline, self.seq = self._restore(self._new_pipeline)
        for name in self.learners.keys() - self.pipeline.parts.keys():
            del self.learners[name]
        self.spared.clear()
        for name, part in self.pipeline.parts.items():
            learner = self.learners.get(name)
            if learner is None or learner.fleet.digest() != part.fleet.digest():
                self._enrol(part)
            else:
                learner.feeder.lose_place()
                self._go_on(part, learner)
        self._present = self._reader.last_seq
        log.info("following", seq=self.seq, behind=self._present - self.seq)
        self._begin_bootstrap()

    @property
    def in_the_past(self) -> bool:
        """Whether a fleet without a model is still learned from what was there before us."""
        beginners = not self.learners or any(not p.forced and not p.crowded for p in self.learners.values())
        return self._bootstrap is not None or (beginners and self.seq < self._present)

    def take_slice(self, most: int) -> bool:
        """Take at most so many inputs; whether there were any.

        Raises:
            StorageError: The ledger cannot be read; `begin` again.
        """
        if self._leave_if_replaced():
            self.begin()
            return True
        if self._bootstrap is not None:
            if self._bootstrap.take_slice(most):
                return True
            self._end_bootstrap(self._bootstrap)
        batch = next(iter(self._reader.replay(self.seq, most=most)), None)
        if batch is None:
            return False
        if batch.first_seq > self.seq + 1:
            log.warning("behind retention", seq=self.seq, first=batch.first_seq)
            self.begin()
            return True
        self.seq = batch.first_seq + len(batch.inputs) - 1
        self.newest_ns = batch.inputs[-1].received_at_ns
        self._advance(batch.inputs)
        return True

    def resample(self) -> None:
        """Where there are more streams than are sampled, choose anew by their errors at the newest checkpoint.

        What newcomers need, state and statistics, is taken from there, and what has come since is taken again.
        """
        if self._leave_if_replaced():
            self.begin()
            return
        crowded = [name for name, learner in self.learners.items() if learner.crowded]
        reached = self.seq
        if not crowded or not self._go_back():
            return
        self._again = True
        try:
            for name in self.learners.keys() & self.pipeline.parts.keys():
                learner, part = self.learners[name], self.pipeline.parts[name]
                self._go_on(part, learner)
                learner.feeder.streams = learner.resample(*errors_by_stream(part)) if name in crowded else frozenset()
            for batch in self._reader.replay(self.seq, upto_seq=reached):
                self._advance(batch.inputs)
        finally:
            self.seq, self._again = reached, False
            for learner in self.learners.values():
                learner.feeder.streams = learner.streams

    def install(self, fleet: str, model: Model) -> None:
        """Put weights in force here that the loop does not have in force."""
        self._private = (model.manifest.version, model)
        event = events.ModelInstalled("in_force", model.manifest.version)
        self.pipeline.advance([Order(event, fleet).stamped(0)])

    def memory(self, fleet: str) -> list[bytes]:
        """What the model in force here remembers of the streams of the sample."""
        return list(memories.memories_of(self.pipeline.parts[fleet], "in_force"))

    # -- the past

    def _begin_bootstrap(self) -> None:
        """What lies before the place where we follow from is for those that know nothing yet."""
        beginners = {name: p for name, p in self.learners.items() if not p.forced and p.updates_total == 0}
        self._bootstrap = None
        if beginners and self.seq >= self._reader.first_seq:
            self._bootstrap = HistoryBootstrap(beginners, self._settings, self._reader, upto_seq=self.seq)

    def _end_bootstrap(self, bootstrap: HistoryBootstrap) -> None:
        """The lessons end where we follow from, so what is remembered there is true here."""
        self._bootstrap = None
        for name, learner in bootstrap.learners.items():
            if self.learners.get(name) is not learner or learner.updates_total == 0:
                continue
            learner.model, chunks = learner.seal(), bootstrap.finish(name)
            self.install(name, learner.model)
            part = self.pipeline.parts[name]
            for memory in map(memories.decode, chunks):
                memories.recall(part, "in_force", memories.known(part, "in_force", memory), memory)
            log.info("first lessons over", fleet=name, updates=learner.updates_total)

    # -- the pipeline

    def _leave_if_replaced(self) -> bool:
        """Whether another ledger stands in the place of the one that we followed: a backup was restored.

        Then the learners leave: what they have learned from may never have happened there.
        """
        if not self._reader.renew() and self._reader.last_seq >= self.seq:
            return False
        log.warning("another ledger", followed_upto=self.seq, last=self._reader.last_seq)
        self.learners.clear()
        self.seq = self.newest_ns = 0
        return True

    def _go_back(self) -> bool:
        """Go back to the newest checkpoint; False, and nothing is done, where it is not behind us."""
        pipeline, seq = self._restore(self._new_pipeline)
        if not 0 < seq <= self.seq:
            return False
        self.pipeline, self.seq = pipeline, seq
        return True

    def _new_pipeline(self) -> Pipeline:
        return Pipeline(self._settings.loop, self._load, trace=True, mute=True)

    def _load(self, fleet: str, version: str) -> Model:
        if self._private is not None and self._private[0] == version:
            return self._private[1]
        return self._store.load(fleet, version)

    def _wanted(self, one: Input) -> bool:
        if one.kind == Kind.READING or isinstance(one.event, events.HistoryLoaded):
            learner = self.learners.get(one.fleet)
            return learner is not None and one.fleet in self.pipeline.parts and learner.wants(one.stream)
        return one.kind != Kind.REJECT

    def _advance(self, inputs: Sequence[Input]) -> None:
        """Take inputs; events are looked at one by one, for they may concern the models."""
        begin = 0
        for i, one in enumerate(inputs):
            if one.kind == Kind.EVENT and not isinstance(one.event, events.HistoryLoaded):
                self._step(inputs[begin:i])
                self._take_event(one)
                begin = i + 1
        self._step(inputs[begin:])

    def _step(self, inputs: Sequence[Input]) -> None:
        """Inputs between two events; which of them are wanted, the events before have decided."""
        wanted = [one for one in inputs if self._wanted(one)]
        for fleet, trace in self.pipeline.advance(wanted).traces if wanted else ():
            self.learners[fleet].feeder.take(trace, self.pipeline.parts[fleet].table)

    # -- events

    def _take_event(self, one: Input) -> None:
        event = one.event
        if isinstance(event, events.ModelInstalled) and event.role != "in_force":
            return  # ours, on trial, is in force here already; others', and what detects, are not ours to learn
        if isinstance(event, events.ShadowPromoted):
            self._follow_promotion(one.fleet, event)
            return
        try:
            self.pipeline.advance([one])
        except ModelError as exc:  # weights that were deleted since: the next hand-over brings others
            log.warning("weights gone", fleet=one.fleet, why=str(exc))
            return
        part = self.pipeline.parts.get(one.fleet)
        if self._again:
            return
        if isinstance(event, events.FleetRetired):
            self.learners.pop(one.fleet, None)
            self.spared.pop(one.fleet, None)
        elif isinstance(event, events.FleetConfigured) and part is not None:
            self._enrol(part)
        elif isinstance(event, events.ModelInstalled) and part is not None:
            self._follow(part, event)

    def _follow(self, part: FleetPipeline, event: events.ModelInstalled) -> None:
        """Other weights are in force: ours, or a rollback, or a model that somebody imported."""
        learner = self.learners.get(part.fleet.name)
        if learner is None or part.in_force is None or not learner.feeder.fits(part.in_force.model):
            self._enrol(part)
            return
        learner.forced = True
        if event.reason == events.ROLLBACK:
            learner.take_back(part.in_force.model)
        elif event.version not in learner.versions:
            learner.take_over(part.in_force.model)

    def _follow_promotion(self, fleet: str, event: events.ShadowPromoted) -> None:
        """The loop's shadow is in force: ours is so here already, another's is now."""
        learner, part = self.learners.get(fleet), self.pipeline.parts.get(fleet)
        if part is None or (learner is not None and event.version in learner.versions):
            if learner is not None:
                learner.forced = True
            return
        try:
            model = self._store.load(fleet, event.version)
        except ModelError as exc:
            log.warning("weights gone", fleet=fleet, why=str(exc))
            return
        self.install(fleet, model)
        if not self._again:
            self._follow(part, events.ModelInstalled("in_force", event.version))

    # -- learners

    def _enrol(self, part: FleetPipeline) -> None:
        """Begin to learn a fleet: from its model in force, its shadow, or nothing."""
        name = part.fleet.name
        self.learners.pop(name, None)
        self.spared.pop(name, None)
        forced = part.in_force is not None
        if not forced and part.shadow is not None:
            part.promote()
        model = None if part.in_force is None else part.in_force.model
        why = "" if model is None else why_spared(model.manifest)
        if model is not None and why:
            self.spared[name] = why
            log.warning("not learned", fleet=name, version=model.manifest.version, why=why)
            return
        learner = self.learners[name] = FleetLearner(part.fleet, model, self._settings.learning, forced=forced)
        if model is None:
            self.install(name, learner.model)

    def _go_on(self, part: FleetPipeline, learner: FleetLearner) -> None:
        """After a jump to a checkpoint: the fleet's learner keeps what it has learned, if it still fits."""
        if part.in_force is None:
            if part.shadow is not None:
                part.promote()
            self.install(part.fleet.name, learner.model)
        elif learner.feeder.fits(part.in_force.model):
            learner.forced = True
        elif not self._again:
            self._enrol(part)
