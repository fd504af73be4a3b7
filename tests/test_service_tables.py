"""Many streams by column: the same as the rows that `watch` shows, in parts."""

from __future__ import annotations

import numpy as np

from gaugecast.control import StreamsQuery, TableQuery
from gaugecast.fleet import Threshold
from gaugecast.pipeline import Pipeline
from gaugecast.service.reports import stream_rows
from gaugecast.service.tables import table_of
from support.pipelines import feed, fleet_of, pipeline_of, reading


def pipeline(**keys: object) -> Pipeline:
    """Three streams of one fleet that have had eighty steps."""
    made = pipeline_of(fleet_of("pq", **keys), max_streams=8)  # type: ignore[arg-type]
    feed(made, [reading(i, float(i % 9), np.sin(i / 9), stream=name) for i in range(80) for name in "abc"], size=3)
    return made


def test_columns_say_what_rows_say() -> None:
    """Value by value, thresholds and path ahead included."""
    made = pipeline(horizons=(1, 3), intervals=(0.8,), thresholds=(Threshold("p", True, 8.5, 3),))
    (fleet,) = table_of(made, TableQuery()).fleets
    rows, total = stream_rows(made, StreamsQuery(ahead=True))
    assert (total, fleet.period_s, [one.feature for one in fleet.features]) == (3, 1.0, ["p", "q"])
    for row in rows:
        n = fleet.streams.index(row.stream)
        (feature,) = [one for one in fleet.features if one.feature == row.feature]
        assert (fleet.step[n], fleet.at_s[n], feature.observed[n]) == (row.step, row.at_s, row.observed)
        assert (feature.forecast[n], feature.predicted[n]) == (row.forecast, row.predicted)
        assert [one.in_s for one in row.ahead] == [1.0, 3.0]
        assert row.ahead[0].forecast == row.forecast
        assert [(one.lower, one.upper) for one in row.ahead[0].intervals[:1]] == [(row.lower, row.upper)]
    (mark,) = fleet.marks
    told = next(one.crossings[0] for one in rows if (one.stream, one.feature) == ("a", "p"))
    assert (mark.place, mark.side, mark.value, mark.within) == (0, told.side, told.value, told.within)
    assert (mark.open[0], mark.probability[0], mark.median_s[0]) == (told.open, told.probability, told.median_s)


def test_parts_are_the_whole() -> None:
    """Two streams at a time; beyond the end nothing, but how many there are."""
    made = pipeline()
    parts = [table_of(made, TableQuery(offset=offset, limit=2)) for offset in (0, 2, 4)]
    assert [[name for one in part.fleets for name in one.streams] for part in parts] == [["a", "b"], ["c"], []]
    assert {part.total for part in parts} == {3}


def test_one_stream_is_found_by_its_name() -> None:
    """Whatever a shell would make of it; of a fleet without horizons the next step is what is ahead."""
    made = pipeline()
    rows, total = stream_rows(made, StreamsQuery(stream="b", ahead=True))
    assert (total, [(row.stream, row.feature) for row in rows]) == (1, [("b", "p"), ("b", "q")])
    assert [(one.in_s, one.forecast) for one in rows[0].ahead] == [(1.0, rows[0].forecast)]
    assert stream_rows(made, StreamsQuery(stream="*"))[1] == 0
