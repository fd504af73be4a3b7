"""What status, metrics and `watch` read of what is said beyond the next step."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.fleet import Threshold
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.service import foretold
from gaugecast.testing import feed, fleet_of, model_for, pipeline_of, reading

MARKS = (Threshold("p", True, 32.0, 12), Threshold("q", False, -3.0, 5))
SLOTS = np.array([0], np.int64)


def part_of(**keys: object) -> FleetPipeline:
    """A fleet whose one stream has had two hundred steps of ramps."""
    fleet = fleet_of("pq", **keys)  # type: ignore[arg-type]
    pipeline = pipeline_of(fleet, models=[], max_streams=5)
    feed(pipeline, [reading(i, float(i % 40), 4.0 * np.sin(i / 9)) for i in range(200)])
    return pipeline.parts[fleet.name]


def test_thresholds_and_bands_are_told_as_they_stand() -> None:
    """Side, value and span of each; probabilities between 0 and 1; a band around the next step."""
    part = part_of(horizons=(1, 3, 12), intervals=(0.8,), thresholds=MARKS)
    told = foretold.threshold_statuses(part)
    assert [(one.feature, one.side, one.value) for one in told] == [("p", "above", 32.0), ("q", "below", -3.0)]
    assert foretold.marks_of(part.fleet) == [("p", "above", "32"), ("q", "below", "-3")]
    (row,) = foretold.crossing_rows(part, 0, "p")
    assert row.probability is not None
    assert 0.0 <= row.probability <= 1.0
    likely, seconds = foretold.likely_of(part, SLOTS)
    assert likely is not None
    assert seconds is not None
    spans, said, low, high = foretold.ahead_of(part, SLOTS)
    assert (len(spans), said is None, low is None, high is None) == (3, False, False, False)
    assert all(low <= high for low, high in foretold.bands_of(part, 0) if low is not None and high is not None)


def test_a_fleet_that_lists_nothing_has_nothing_to_tell() -> None:
    """Neither horizons nor thresholds."""
    part = part_of()
    assert (foretold.threshold_statuses(part), foretold.crossing_rows(part, 0, "p")) == ([], [])
    assert foretold.likely_of(part, SLOTS) == (None, None)
    assert foretold.ahead_of(part, SLOTS) == ([], None, None, None)
    assert foretold.bands_of(part, 0) == [(None, None), (None, None)]


def test_experts_tell_their_shares_and_skills_by_horizon() -> None:
    """Shares sum to one; the linear one is better than the last value on a wave; without a network there is none."""
    fleet = fleet_of("q", horizons=(1, 3))
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(0, 0.0)])
    assert foretold.experts_of(pipeline.parts[fleet.name], SLOTS) == [{}], "nothing has come due"
    feed(pipeline, [reading(i, float(np.sin(i / 9))) for i in range(1, 400)])
    (by_horizon,) = foretold.experts_of(pipeline.parts[fleet.name], SLOTS)
    assert list(by_horizon) == ["1s", "3s"]
    for experts in by_horizon.values():
        assert list(experts) == ["persistence", "linear"]
        assert sum(one.weight for one in experts.values()) == pytest.approx(1.0)
        assert experts["linear"].skill is not None
        assert experts["linear"].skill > 0.5
        assert experts["persistence"].skill == 0.0


def test_a_network_stands_among_the_experts_while_it_is_in_force() -> None:
    """All four are told, in their order."""
    fleet = fleet_of("p", horizons=(1,))
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    feed(pipeline, [reading(i, float(np.sin(i / 9))) for i in range(200)])
    (by_horizon,) = foretold.experts_of(pipeline.parts[fleet.name], SLOTS)
    assert list(by_horizon["1s"]) == ["persistence", "linear", "stacked", "network"]
