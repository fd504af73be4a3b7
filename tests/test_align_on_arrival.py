"""Readings without event time: a period has one step, whatever comes in it and however unevenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Verdict
from gaugecast.testing import SECOND, T0, fleet_of, pipeline_of

STEPPED, SAME_PERIOD = int(Verdict.STEPPED), int(Verdict.SAME_PERIOD)


def arrivals(offsets_s: Sequence[float], **settings: Any) -> tuple[list[int], Pipeline]:
    """Verdicts of readings without event time that come so many periods after the first."""
    fleet = fleet_of("p", time_path=None, on_arrival=True, **settings)
    pipeline = pipeline_of(fleet)
    verdicts: list[int] = []
    for offset in offsets_s:
        now = T0 + round(offset * SECOND)
        one = Input.reading("tanks", "a", now, now, np.array([1.0], "<f8").tobytes(), key=0)
        verdicts += pipeline.advance([one]).verdicts
    return verdicts, pipeline


def test_without_event_time_a_period_has_one_step() -> None:
    """The first of it; what comes twice, or a quarter of a period later, is one too many and counted as such."""
    verdicts, pipeline = arrivals([0, 0.05, 1, 1.05, 1.2, 2, 2.05])
    assert verdicts == [STEPPED, SAME_PERIOD, STEPPED, SAME_PERIOD, SAME_PERIOD, STEPPED, SAME_PERIOD]
    assert pipeline.totals()["tanks"].same_period == 4
    assert pipeline.totals()["tanks"].duplicate == 0


@pytest.mark.parametrize("beat", [0.98, 1.0, 1.02])
def test_arrivals_that_jitter_are_a_step_each(beat: float) -> None:
    """By a fifth of a period, and with a clock that is not quite ours."""
    jitter = np.random.default_rng(5).uniform(-0.2, 0.2, 400)
    verdicts, pipeline = arrivals([i * beat + float(off) for i, off in enumerate(jitter)])
    assert verdicts.count(STEPPED) >= 398
    assert pipeline.totals()["tanks"].resets == 0


def test_who_sends_many_a_period_gets_a_step_a_period() -> None:
    """Ten a period for a hundred periods."""
    verdicts, _ = arrivals([i / 10 for i in range(1000)])
    assert 99 <= verdicts.count(STEPPED) <= 102
