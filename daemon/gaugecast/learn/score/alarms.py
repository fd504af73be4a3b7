"""Alarms held against labels, row by row."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from gaugecast.records import Bool, Int64


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """Rows by what was said of them and what they were."""

    hit: int = 0
    false_alarm: int = 0
    missed: int = 0
    quiet: int = 0

    @classmethod
    def of(cls, said: Bool, wrong: Bool) -> AlarmCounts:
        """Of rows with an alarm or not (T,), and with something wrong or not (T,)."""
        sums = ((said & wrong), (said & ~wrong), (~said & wrong), (~said & ~wrong))
        return cls(*(int(rows.sum()) for rows in sums))

    def __add__(self, other: AlarmCounts) -> AlarmCounts:
        return AlarmCounts(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; `None` where there was nothing to say and nothing was said."""
        return _share(2 * self.hit, 2 * self.hit + self.false_alarm + self.missed)

    @property
    def false_alarm_share(self) -> float | None:
        """False alarms, as a share of the usual rows; `None` without any."""
        return _share(self.false_alarm, self.false_alarm + self.quiet)

    @property
    def missed_share(self) -> float | None:
        """Rows that were missed, as a share of the labelled ones; `None` without any."""
        return _share(self.missed, self.missed + self.hit)

    @property
    def always(self) -> AlarmCounts:
        """What always alarming would have had of the same rows."""
        return AlarmCounts(hit=self.hit + self.missed, false_alarm=self.false_alarm + self.quiet)


def runs_of(flags: Bool) -> Int64:
    """First row and the one behind the last of each run of true ones (R, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
