"""What a backtest trains on before it scores: rows learned and held out, and with which care."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.test_run import fleet_of, readings, wandering
from gaugecast.learn import initial_model, manifest_for
from gaugecast.learn.backtest.run import backtest
from gaugecast.learn.backtest.split import Split
from gaugecast.learn.backtest.warmup import record, trained_on
from gaugecast.learn.fit.targets import Targets

pytestmark = pytest.mark.keras


def test_stretches_hold_out_the_last_rows_of_the_stream_not_of_each() -> None:
    """A missing tick before row 60, rows up to 80 are learned: all of the first stretch, and what is left of 80."""
    fleet = fleet_of(1)
    model = initial_model(manifest_for(fleet, units=(4,)), seed=0)
    (fed,) = record(fleet, [readings(fleet, wandering(100, 1), gap_at=60)], model).values()
    first, *_, last = Targets(fleet, model.manifest).lessons(fed, learned=80)
    assert first.learned >= len(first.x)
    assert len(last.x) - last.learned == 20  # the targets that are rows 80 to 99
    np.testing.assert_array_less(0, last.learned)


@pytest.mark.long
def test_weights_that_stay_frozen_are_trained_with_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `backtest` trains depends on whether it goes on learning; the same split and seed otherwise."""
    fleet, values = fleet_of(1, period_s=3600), 5.0 * np.sin(np.arange(160) / 2.0)[:, None]
    batches, split = [readings(fleet, values)], Split(80, 20)
    told = []

    def noting(*args: Any, goes_on: bool, **options: Any) -> Any:
        told.append(goes_on)
        return trained_on(*args, goes_on=goes_on, compiled=False, **options)

    monkeypatch.setattr("gaugecast.learn.backtest.run.trained_on", noting)
    backtest(fleet, batches, split, warm_up=True, learning="off", units=(4,), with_baselines=False)
    assert told == [False]
    careful, other = (
        trained_on(fleet, batches, split, model=None, units=(4,), seed=0, goes_on=goes_on, compiled=False)[0]
        for goes_on in (False, True)
    )
    assert careful.manifest.version != other.manifest.version
