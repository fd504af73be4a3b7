"""`gaugecast learn`: follows the ledger with an `advance` of its own, learns, and hands weights over to the loop.

It reads the ledger and the models, writes new weights files, and speaks to the loop through the control socket. If
it falls behind, crashes, or fills the disk, the loop does not notice. It never holds back retention: rows that are
gone before it has read them are skipped, from the newest checkpoint on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gaugecast.config.schema import Settings
from gaugecast.errors import GaugecastError, StorageError
from gaugecast.learn.online.fleet_learner import FleetLearner
from gaugecast.learn.online.follower import Follower
from gaugecast.learn.online.ports import Ask, LedgerHistory, Remember, RestoreNewest, Store, Warm
from gaugecast.logs import get

log = get("gaugecast.learn")

POLL_S = 0.05
_REPORT_S = 1.0
#: The first update compiles for seconds; the budget is not paid back for that.
_REST_MAX_S = 0.25
_RESAMPLE_S = 600.0
_UNREADABLE_S = 5.0
#: Inputs a slice, least and most while at the tail: two steps of each stream, since an update takes the newest.
_SLICE_LEAST, _SLICE_MOST = 2, 16
#: While this far behind the ledger's end, an update is made a large slice only, and the rest is only stepped.
_HURRY_S, _HURRY_SLICE = 1.0, 512


class LearnerProcess:
    """One learner for all fleets of a state directory. One thread.

    Args:
        settings: `learning` and `loop` tables are used.
        reader: The ledger.
        restore: Gives a pipeline as of the newest checkpoint.
        store: Weights by fleet and version.
        ask: Sends a command to the loop.
        remember: Puts what a newcomer remembers where the loop finds it.
        warm: Has a newcomer go over the past of all streams, where there are more than are sampled.
        seconds, cpu_s, sleep: Clocks, and how to wait.

    Attributes:
        stopping: Set by whoever wants it to end.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reader: LedgerHistory,
        restore: RestoreNewest,
        store: Store,
        ask: Ask,
        remember: Remember = lambda _fleet, _version, _chunks: None,
        warm: Warm = lambda _fleet, _model: [],
        seconds: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.stopping = False
        self.follower = Follower(settings, reader=reader, restore=restore, store=store)
        self._store, self._ask = store, ask
        self._remember, self._warm = remember, warm
        self._seconds, self._cpu_s, self._sleep = seconds, cpu_s, sleep
        self._report_at_s = 0.0
        self._resample_at_s = seconds() + _RESAMPLE_S

    def run(self) -> None:
        """Learn until `stopping`. A ledger that cannot be read, such as one half restored, is waited for."""
        following = False
        while not self.stopping:
            try:
                if not following:
                    self.follower.begin()
                following = True
                rest_s = self.turn()
            except StorageError as exc:
                log.warning("ledger not readable", why=str(exc), again_s=_UNREADABLE_S)
                following, rest_s = False, _UNREADABLE_S
            self._sleep(rest_s)

    def turn(self) -> float:
        """Follow, learn, hand over, report; how long to rest then, s."""
        began = self._cpu_s()
        worked = self._follow()
        now_s = self._seconds()
        for fleet, learner in self.follower.learners.items():
            if learner.ready(now_s) and (learner.forced or not self.follower.in_the_past):
                self._hand_over(fleet, learner, now_s)
        self._report(now_s)
        if now_s >= self._resample_at_s:
            self._resample_at_s = now_s + _RESAMPLE_S
            self.follower.resample()
        busy_s = self._cpu_s() - began
        rest_s = busy_s * max(0.0, 1.0 / self.settings.learning.cpu - 1.0)
        return min(rest_s, _REST_MAX_S) if worked else POLL_S

    def _follow(self) -> bool:
        """Take a slice of the ledger and learn from it; whether there was any."""
        learners = self.follower.learners
        hurry = self.follower.behind_s > _HURRY_S and not self.follower.in_the_past
        steps = 2 * sum(len(learner.streams) for learner in learners.values())
        if not self.follower.take_slice(_HURRY_SLICE if hurry else max(_SLICE_LEAST, min(_SLICE_MOST, steps))):
            return False
        for learner in learners.values():
            while learner.learn() and not hurry and not self.stopping:
                pass
        return True

    def _hand_over(self, fleet: str, learner: FleetLearner, now_s: float) -> None:
        try:
            model = learner.seal()
            version = self._store.add(fleet, model)
            role = "in_force" if learner.forced else "shadow"
            if role == "shadow" and learner.handovers_total == 0:
                chunks = self._warm(learner.fleet, model) if learner.crowded else self.follower.memory(fleet)
                self._remember(fleet, version, chunks)
            self._ask({"command": "hand_over", "fleet": fleet, "version": version, "role": role})
        except (GaugecastError, OSError) as exc:
            learner.note_failure(now_s)
            log.warning("hand-over failed", fleet=fleet, why=str(exc))
            return
        learner.note_handed(model, now_s)
        if not learner.forced:
            self.follower.install(fleet, model)

    def _report(self, now_s: float) -> None:
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + _REPORT_S
        for fleet, facts in self._facts().items():
            try:
                self._ask({"command": "learner", "fleet": fleet, "lag_s": self.follower.behind_s, **facts})
            except GaugecastError:
                return  # the loop is down or busy; it will come back

    def _facts(self) -> dict[str, dict[str, Any]]:
        """What is told of each fleet, of those too that are left in peace: else the loop would take us for hung."""
        learned = {
            fleet: {
                "updates_total": learner.updates_total,
                "failures_total": learner.failures_total,
                "drift_total": learner.rate.drifts_total,
                "handovers_total": learner.handovers_total,
                "rate": learner.rate.rate,
            }
            for fleet, learner in self.follower.learners.items()
        }
        return {**learned, **{fleet: {"spared": why} for fleet, why in self.follower.spared.items()}}
