"""Per-stream series: NumPy columns as Prometheus reads them, under a cap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.metrics import Metrics, StreamColumns
from gaugecast.metrics.catalogue import STREAMED
from test_metrics import columns, full_status, sample, scrape


def test_stream_columns_show_as_series() -> None:
    """Values, residual, event time and set flags of a stream are where Prometheus looks for them."""
    tanks = columns(3)
    assert tanks.quality is not None
    tanks.quality[2] = 0b10010
    metrics = Metrics(columns=lambda: [tanks])
    labels = {"fleet": "tanks", "stream": "hall/tank-2", "feature": "temperature"}
    assert sample(metrics, "stream_observed", **labels) == pytest.approx(tanks.observed[2, 1], rel=1e-8)
    assert sample(metrics, "stream_forecast", **labels) == pytest.approx(tanks.forecast[2, 1], rel=1e-8)
    assert sample(metrics, "stream_predicted", **labels) == pytest.approx(tanks.predicted[2, 1], rel=1e-8)
    residual = tanks.observed[2, 1] - tanks.predicted[2, 1]
    assert sample(metrics, "stream_residual", **labels) == pytest.approx(residual, rel=1e-6)
    own = {"fleet": "tanks", "stream": "hall/tank-2"}
    assert sample(metrics, "stream_observed_timestamp_seconds", **own) == 1_700_000_000.125
    assert sample(metrics, "stream_quality", flag="bridged", **own) == 1
    assert sample(metrics, "stream_quality", flag="stale", **own) == 1
    assert sample(metrics, "stream_quality", flag="warming", **own) is None


def test_a_missing_value_takes_no_other_streams_place() -> None:
    """NaN is left out, and the streams after it keep their own values."""
    tanks = columns(3)
    tanks.forecast[0] = np.nan
    metrics = Metrics(columns=lambda: [tanks])
    found = [
        sample(metrics, "stream_forecast", fleet="tanks", stream=f"hall/tank-{i}", feature="pressure") for i in range(3)
    ]
    assert found == [None, pytest.approx(tanks.forecast[1, 0], rel=1e-8), pytest.approx(tanks.forecast[2, 0], rel=1e-8)]


def test_the_cap_bounds_series_over_all_fleets() -> None:
    """Two fleets share the cap; how many were left out is a metric."""
    metrics = Metrics(stream_series=5, columns=lambda: [columns(4, "a"), columns(4, "b")])
    shown = {(dict(k)["fleet"], dict(k)["stream"]) for n, k in scrape(metrics) if n == "gaugecast_stream_observed"}
    assert len(shown) == 5
    assert sample(metrics, "stream_series_omitted") == 3


def test_labels_follow_the_streams() -> None:
    """When slots change hands, the next scrape names the new streams: kept label texts do not outlive them."""
    shown = [columns(2)]
    metrics = Metrics(columns=lambda: shown)
    metrics.render()
    shown[0] = columns(2, features=("level",))
    assert sample(metrics, "stream_observed", fleet="tanks", stream="hall/tank-0", feature="level") is not None
    assert sample(metrics, "stream_observed", fleet="tanks", stream="hall/tank-0", feature="pressure") is None


@given(st.text(min_size=1, max_size=20))
def test_any_stream_name_survives_the_text_format(name: str) -> None:
    """Quotes, backslashes and line breaks in an id come back from the parser as they were."""
    one = columns(1)
    odd = StreamColumns(
        fleet="tanks",
        streams=[name],
        features=("p",),
        observed=one.observed[:, :1],
        forecast=one.forecast[:, :1],
        predicted=one.predicted[:, :1],
    )
    metrics = Metrics(columns=lambda: [odd])
    assert sample(metrics, "stream_observed", fleet="tanks", stream=name, feature="p") is not None


def test_the_fixed_part_stays_small_at_many_streams() -> None:
    """100,000 streams in ten fleets, none of them with series: ≤ 100 KB."""
    many = columns(100_000)
    metrics = Metrics(stream_series=0, columns=lambda: [many])
    metrics.set_status(full_status(fleets=10))
    assert len(metrics.render()) <= 100_000


def test_ten_thousand_streams_have_all_their_series() -> None:
    """A line for each stream and feature, none lost where many are written at once."""
    many = columns(10_000)
    text = Metrics(stream_series=10_000, columns=lambda: [many]).render()
    assert text.count(b"gaugecast_stream_observed{") == 20_000


def test_streamed_names_are_one_family_each() -> None:
    """Text format 0.0.4 wants all lines of a metric in one group: HELP and TYPE come once, also with two fleets."""
    text = Metrics(columns=lambda: [columns(2, "a"), columns(2, "b")]).render().decode()
    absent = {"quality", "ahead", "lower", "upper", "crossing_probability", "crossing_seconds"}
    absent |= {"anomaly_score"}  # of these fleets
    for definition in STREAMED:
        wanted = definition.name.removeprefix("gaugecast_stream_") not in absent
        assert text.count(f"# TYPE {definition.name} ") == wanted


def test_what_is_ahead_and_crossings_have_series_of_their_own() -> None:
    """By horizon with the interval around it, and by threshold; what is not known has none."""
    ahead = np.array([[[1.0, 2.0], [3.0, np.nan]]])
    tanks = replace(
        columns(1), spans=("1s", "1m"), ahead=ahead, lower=ahead - 1, upper=ahead + 1, level="0.8",
        marks=(("pressure", "above", "8.2"),), likely=np.array([[0.25]]), median_s=np.array([[90.0]]),
        score=np.array([[0.5, np.nan]]),
    )  # fmt: skip
    metrics = Metrics(columns=lambda: [tanks])
    own = {"fleet": "tanks", "stream": "hall/tank-0", "feature": "pressure"}
    assert sample(metrics, "stream_ahead", **own, horizon="1m") == 2.0
    assert sample(metrics, "stream_upper", **own, horizon="1m", level="0.8") == 3.0
    assert sample(metrics, "stream_lower", **own, horizon="1s", level="0.8") == 0.0
    assert sample(metrics, "stream_ahead", **(own | {"feature": "temperature"}), horizon="1m") is None
    assert sample(metrics, "stream_crossing_probability", **own, side="above", value="8.2") == 0.25
    assert sample(metrics, "stream_anomaly_score", **own) == 0.5
    assert sample(metrics, "stream_anomaly_score", **(own | {"feature": "temperature"})) is None
    assert sample(metrics, "stream_crossing_seconds", **own, side="above", value="8.2") == 90.0
