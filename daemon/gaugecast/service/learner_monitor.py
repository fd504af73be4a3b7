"""What the learner last said of itself, and what its silence means."""

from __future__ import annotations

import msgspec

from gaugecast.control import LearnerReport
from gaugecast.logs import get
from gaugecast.status import LearnerStatus

log = get("gaugecast")

#: It reports once a second; a slow disk may take some more.
_SILENT_S = 30.0
#: So long it may load TensorFlow, or compile, once it has said so; a child that takes longer is killed.
_PATIENT_S = 300.0


class LearnerMonitor:
    """Owned by the loop's thread. Times are the caller's monotonic seconds.

    Attributes:
        heard_at_s: When it last spoke; -inf before.
    """

    def __init__(self) -> None:
        self.heard_at_s = float("-inf")
        self._told: dict[str, LearnerStatus] = {}
        self._silent = False
        self._patient = False

    @property
    def _silence_s(self) -> float:
        return _PATIENT_S if self._patient else _SILENT_S

    def note(self, report: LearnerReport, now_s: float) -> None:
        """It has reported on a fleet."""
        facts = msgspec.structs.asdict(report)
        fleet = facts.pop("fleet")  # before the others are taken for the learner's
        before = self._told.get(fleet)
        if report.doing and before is not None:  # it says only that it will be long
            self._told[fleet] = msgspec.structs.replace(before, doing=report.doing)
        else:
            self._told[fleet] = LearnerStatus(**facts)
        if self._silent:
            log.info("learner speaks again", silent_s=round(now_s - self.heard_at_s, 1))
        self.heard_at_s, self._silent, self._patient = now_s, False, bool(report.doing)

    @property
    def heard(self) -> bool:
        """Whether it has ever spoken."""
        return bool(self._told)

    def look(self, now_s: float, *, runs: bool = True) -> None:
        """Say once that it has fallen silent; not of a child that does not run just now, whose end has been told."""
        silent_s = now_s - self.heard_at_s
        if runs and self._told and silent_s >= self._silence_s and not self._silent:
            self._silent = True
            log.warning("learner silent", silent_s=round(silent_s, 1))

    def state(self, fleet: str, now_s: float, *, failures: int) -> LearnerStatus | None:
        """For the status: `failures` of ours are added to its own, and its lag grows while it is silent."""
        told = self._told.get(fleet)
        if told is None:
            return LearnerStatus(failures_total=failures) if failures else None
        silent_s = now_s - self.heard_at_s
        lag_s = told.lag_s
        if silent_s >= self._silence_s:
            lag_s = (lag_s or 0.0) + silent_s
        return msgspec.structs.replace(told, failures_total=told.failures_total + failures, lag_s=lag_s)
