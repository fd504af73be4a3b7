"""Event times at the ends of what a number can say: refused with a reason, and never a tick that has wrapped round."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline
from gaugecast.records import FIRST_NS, LAST_NS, Kind, Verdict
from gaugecast.testing import model_for, pipeline_of
from support.payloads import NOW_NS, make_fleet, make_message

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017
SECOND, YEAR = 10**9, 365 * 86_400 * 10**9
SCALE = {"s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}
STEPPED, HELD = int(Verdict.STEPPED), int(Verdict.HELD)


def fleet_of(unit: str, aggregate: str = "last", period_ns: int = SECOND) -> Fleet:
    """One feature, forecast three ticks ahead."""
    feature = Feature("pressure", path=("pressure",), aggregate=aggregate)  # type: ignore[arg-type]
    return make_fleet(time_unit=unit, features=(feature,), horizon=3, period_ns=period_ns)


class Course:
    """A decoder and a pipeline with a model, fed message by message through both."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.decoder = Decoder([fleet], Loop())
        self.pipeline: Pipeline = pipeline_of(fleet, models=[model_for(fleet)])

    def send(self, stamp: str, received_ns: int) -> tuple[str, int, list[dict[str, Any]]]:
        """Why it was refused (or nothing), its verdict, and the forecasts that came of it."""
        message = make_message(b'{"t": %s, "pressure": 2.5}' % stamp.encode())
        (one,) = self.decoder.decode([message], received_ns).inputs
        outcome = self.pipeline.advance([one])
        reason = one.reason if one.kind is Kind.REJECT else ""
        return reason, outcome.verdicts[0], [json.loads(made.body) for made in outcome.outputs]


def stamped(fleet: Fleet, at_ns: int) -> str:
    """An instant as the fleet's payloads say it."""
    if fleet.time_unit == "iso8601":
        return f'"{(EPOCH + timedelta(microseconds=at_ns // 1000)).isoformat()}"'
    return str(at_ns // SCALE[fleet.time_unit])


def check_that_the_stream_goes_on(course: Course, hostile: str, *, first: bool) -> str:
    """Send a hostile time before or after a sane one, then sane ones, which must all be taken; return its reason."""
    fleet, sane = course.fleet, 0
    for number in range(5):
        received_ns = NOW_NS + number * fleet.period_ns
        if number == (0 if first else 1):
            reason, verdict, made = course.send(hostile, received_ns)
            assert (verdict == Verdict.REJECTED) == bool(reason)
        else:
            refused, verdict, made = course.send(stamped(fleet, received_ns), received_ns)
            assert (refused, verdict in (STEPPED, HELD)) == ("", True), f"after {hostile}: {Verdict(verdict).name}"
            sane += 1
        for message in made:
            assert message["for"] - message["at"] == pytest.approx(fleet.period_ns / 1e9, rel=1e-6)
            assert FIRST_NS <= message["at"] * 1e9 <= LAST_NS
    assert sane == 4
    return reason


NUMBERS = ["1e300", "-1e300", "1e-300", "-1e400", "NaN", "Infinity", "-9.2e18", "9.2e18", "1e18", "-1", "0", "9" * 5000]
INTEGERS = [str(n + d) for n in (2**63, 2**62, 2**64, 0) for n in (n, -n) for d in (-1, 0, 1)]
TEXTS = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "1677-09-21T00:12:44Z"]
TEXTS += ["1700-01-01T00:00:00", "1830-01-01T00:00:00Z", "2109-12-31T23:59:59Z", "2262-04-11T23:47:16Z"]


@pytest.mark.parametrize("aggregate", ["last", "mean"])
@pytest.mark.parametrize("period_ns", [SECOND, YEAR])
@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("unit", ["s", "ns", "iso8601"])
def test_no_time_stops_a_stream(unit: str, first: bool, period_ns: int, aggregate: str) -> None:
    """A first event time of 1677 made all later ones late for ever: their distance did not fit into 64 bits."""
    for text in [f'"{text}"' for text in TEXTS] if unit == "iso8601" else [*NUMBERS, *INTEGERS]:
        check_that_the_stream_goes_on(Course(fleet_of(unit, aggregate, period_ns)), text, first=first)


@settings(max_examples=60, deadline=None)
@given(at_ns=st.integers(-(2**64), 2**64), first=st.booleans(), aggregate=st.sampled_from(["last", "mean", "sum"]))
@example(at_ns=FIRST_NS, first=True, aggregate="last")
@example(at_ns=FIRST_NS - 1, first=True, aggregate="last")
def test_a_time_is_refused_exactly_where_it_lies_outside_the_years_we_count(
    at_ns: int, first: bool, aggregate: str
) -> None:
    """Before 1830 or after 2110 `bad_time`; ahead of the clock `far_future`; else it is taken, or late."""
    reason = check_that_the_stream_goes_on(Course(fleet_of("ns", aggregate)), str(at_ns), first=first)
    outside = not FIRST_NS <= at_ns <= LAST_NS
    ahead = at_ns > NOW_NS + 300 * SECOND + SECOND
    assert reason == ("bad_time" if outside else "far_future" if ahead else "")


@pytest.mark.parametrize(
    ("unit", "text", "reason"),
    [
        ("ns", "-9.2e18", "bad_time"),
        ("s", "-9.2e9", "bad_time"),
        ("s", "1e300", "bad_time"),
        ("s", "NaN", "wrong_type"),
        ("ms", '"-Infinity"', "bad_time"),
        ("iso8601", '"0001-01-01T00:00:00Z"', "bad_time"),
        ("iso8601", '"9999-12-31T23:59:59Z"', "bad_time"),
        ("iso8601", '"1829-12-31T23:59:59Z"', "bad_time"),
        ("iso8601", '"1830-01-01T00:00:00Z"', ""),
        ("iso8601", '"2109-12-31T23:59:59Z"', "far_future"),
    ],
)
def test_what_is_refused_has_the_reason_that_fits(unit: str, text: str, reason: str) -> None:
    """JSON knows no NaN, so that is no number; what no calendar of ours has is a bad time."""
    assert check_that_the_stream_goes_on(Course(fleet_of(unit)), text, first=True) == reason
