"""What status, metrics and `watch` read of what is said beyond the next step."""

from __future__ import annotations

import numpy as np

from gaugecast.fleet import Threshold
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.service import foretold
from gaugecast.testing import feed, fleet_of, pipeline_of, reading

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
