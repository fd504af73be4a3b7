"""First lessons: fleets that have no model yet are learned from what the ledger holds of the past."""

from __future__ import annotations

from collections.abc import Mapping

from gaugecast.config.schema import Settings
from gaugecast.learn.online.fleet_learner import FleetLearner
from gaugecast.learn.online.ports import LedgerHistory
from gaugecast.logs import get
from gaugecast.pipeline.solo import SoloPipeline, begins_after
from gaugecast.records import Input

log = get("gaugecast.learn")

#: Inputs that are read at once; they are learned from in slices.
_READ = 2000
#: Updates after which the states come from newer weights.
_RENEWED = 4


class HistoryBootstrap:
    """Learners of fleets without a model go over the past, up to where the learner follows the loop from. One thread.

    Args:
        learners: By fleet; those that the loop has no model for.
        settings: `learning.history` and `loop` are used.
        reader: The ledger.
        upto_seq: The last input to take.
    """

    def __init__(
        self, learners: Mapping[str, FleetLearner], settings: Settings, reader: LedgerHistory, *, upto_seq: int
    ) -> None:
        self.learners = dict(learners)
        self._upto, self._reader = upto_seq, reader
        parts = [(learner.fleet, learner.model) for learner in learners.values()]
        self._solo = SoloPipeline(parts, settings.loop, trace=True, mute=True)
        self._seq = begins_after(
            reader.events(),
            self._solo.fleets,
            first_seq=reader.first_seq,
            upto_seq=upto_seq,
            most=settings.learning.history,
        )
        self._waiting: list[Input] = []
        self._renewed = dict.fromkeys(learners, 0)
        log.info("first lessons", fleets=",".join(learners), inputs=upto_seq - self._seq)

    def take_slice(self, most: int) -> bool:
        """Take at most so many readings of the sample; False where the past is over."""
        while len(self._waiting) < most and self._read():
            pass
        if not self._waiting:
            return False
        slice_, self._waiting = self._waiting[:most], self._waiting[most:]
        for name, learner in self.learners.items():
            if learner.updates_total >= self._renewed[name] + _RENEWED:
                self._renewed[name] = learner.updates_total
                self._solo.use(name, learner.feeder.trainer.model())
        for name, trace in self._solo.take(slice_):
            self.learners[name].feeder.take(trace, self._solo.part(name).table)
        return True

    def finish(self, fleet: str) -> list[bytes]:
        """What a fleet's learner remembers of the streams at the end; what it is shown next does not follow."""
        self.learners[fleet].feeder.lose_place()
        return self._solo.memories(fleet)

    def _read(self) -> bool:
        if self._seq >= self._upto:
            return False
        batch = next(iter(self._reader.replay(self._seq, most=_READ, upto_seq=self._upto)), None)
        if batch is None:
            self._seq = self._upto
            return False
        self._seq = batch.first_seq + len(batch.inputs) - 1
        self._waiting += [one for one in batch.inputs if self._wanted(one)]
        return True

    def _wanted(self, one: Input) -> bool:
        if not self._solo.concerns(one):
            return False
        return one.fleet not in self.learners or not one.stream or self.learners[one.fleet].wants(one.stream)
