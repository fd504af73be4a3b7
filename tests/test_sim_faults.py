"""Each fault does what its name says, to the samples it names only, and reports itself."""

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast_sim.faults import Fault, Injected, Injector, Kind, inject, schedule
from gaugecast_sim.samples import Sample

SECOND_NS = 10**9
A, B = "plant/x/tank-01/telemetry", "plant/x/tank-02/telemetry"


def sample(topic: str, second: int) -> Sample:
    """A reading whose values tell its second."""

    payload = json.dumps({"t": second, "pressure": 2.0 + second / 10, "temperature": 60.5 - second})
    return Sample(topic, payload.encode(), second * SECOND_NS)


def both(seconds: int) -> list[Sample]:
    """Two tanks, one reading a second."""

    return [sample(topic, second) for second in range(seconds) for topic in (A, B)]


def strike(kind: Kind, size: float = 0.0, feature: str = "") -> tuple[list[Sample], list[Injected]]:
    """Ten seconds of two tanks; the first one has the fault from second 3 up to but without 6."""
    report: list[Injected] = []
    fault = Fault(kind, "*/tank-01/*", 3 * SECOND_NS, 6 * SECOND_NS, size, feature)
    return list(inject(both(10), [fault], report)), report


def of(topic: str, samples: list[Sample]) -> list[dict[str, float]]:
    """The payloads of one topic."""

    return [json.loads(s.payload) for s in samples if s.topic == topic]


def seconds_of(topic: str, samples: list[Sample]) -> list[int]:
    """The event times of one topic."""

    return [int(fields["t"]) for fields in of(topic, samples)]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_fault_is_reported_and_leaves_the_other_tank_alone(kind: Kind) -> None:
    """Every kind: three samples tampered with, and tank 2 byte for byte as it was."""
    out, report = strike(kind, 2.0)
    assert [s for s in out if s.topic == B] == [s for s in both(10) if s.topic == B]
    assert {entry.kind for entry in report} == {kind}
    assert {entry.topic for entry in report} == {A}
    expected = {Kind.OUT_OF_ORDER: [3, 5], Kind.DRIFT: [4, 5]}.get(kind, [3, 4, 5])
    assert [entry.at_ns // SECOND_NS for entry in report] == expected


def test_without_faults_everything_passes_unchanged() -> None:
    """No fault, no difference, no report."""
    report: list[Injected] = []
    assert list(inject(both(5), [], report)) == both(5)
    assert report == []


def test_a_gap_drops() -> None:
    """The three samples are gone."""
    assert seconds_of(A, strike(Kind.GAP)[0]) == [0, 1, 2, 6, 7, 8, 9]


def test_a_stuck_sensor_repeats_its_last_value_while_time_goes_on() -> None:
    """Values as at second 2, times as they are."""
    fields = of(A, strike(Kind.STUCK)[0])
    assert [f["t"] for f in fields] == list(range(10))
    assert [f["pressure"] for f in fields[2:7]] == [2.2, 2.2, 2.2, 2.2, 2.6]


def test_a_spike_hits_the_named_feature_only() -> None:
    """Pressure is 5 higher; temperature and time are not."""
    fields = of(A, strike(Kind.SPIKE, 5.0, "pressure")[0])
    assert [f["pressure"] for f in fields[2:7]] == [2.2, 7.3, 7.4, 7.5, 2.6]
    assert [f["temperature"] for f in fields] == [60.5 - second for second in range(10)]


def test_a_drift_grows_from_its_start() -> None:
    """One unit a second."""
    fields = of(A, strike(Kind.DRIFT, 1.0, "pressure")[0])
    assert [f["pressure"] for f in fields[3:7]] == [2.3, 3.4, 4.5, 2.6]


def test_nan_is_written_as_json_does_not_allow() -> None:
    """The literal `NaN`, in all features, not in the time."""
    out, _ = strike(Kind.NAN)
    assert [s.payload.count(b"NaN") for s in out if s.topic == A] == [0, 0, 0, 2, 2, 2, 0, 0, 0, 0]
    assert math.isfinite(of(A, out)[3]["t"])


def test_late_samples_come_after_their_successors_with_their_own_time() -> None:
    """Two and a half seconds late."""
    out, _ = strike(Kind.LATE, 2.5)
    assert seconds_of(A, out) == [0, 1, 2, 3, 6, 4, 7, 5, 8, 9]
    assert [s.at_ns for s in out if s.topic == A and seconds_of(A, [s])[0] in (3, 4, 5)] == [
        5_500_000_000,
        6_500_000_000,
        7_500_000_000,
    ]


def test_duplicates_are_identical() -> None:
    """One further copy, byte for byte."""
    out, _ = strike(Kind.DUPLICATE, 1)
    assert seconds_of(A, out) == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9]
    assert len({s.payload for s in out if s.topic == A}) == 10


def test_out_of_order_swaps_neighbours() -> None:
    """3 and 4 change places, 5 and 6 too; nothing is lost."""
    assert seconds_of(A, strike(Kind.OUT_OF_ORDER)[0]) == [0, 1, 2, 4, 3, 6, 5, 7, 8, 9]


def test_a_clock_step_moves_event_times_only() -> None:
    """An hour ahead, and back."""
    fields = of(A, strike(Kind.CLOCK_STEP, 3600)[0])
    assert [f["t"] for f in fields[2:7]] == [2, 3603, 3604, 3605, 6]
    assert [f["pressure"] for f in fields[2:5]] == [2.2, 2.3, 2.4]


def test_bad_bytes_are_no_reading_in_any_variant() -> None:
    """Cut, not UTF-8, empty, or of the wrong type: never an object."""
    fault = Fault(Kind.BAD_BYTES, "*", 0, 100 * SECOND_NS)
    for whole in (both(4), [Sample(A, b"25", second * SECOND_NS) for second in range(8)]):
        report: list[Injected] = []
        spoiled = [s.payload for s in inject(whole, [fault], report)]
        assert len(report) == 8
        for payload in spoiled:
            try:
                assert not isinstance(json.loads(payload), dict | float | int)
            except ValueError:  # not UTF-8 is a ValueError, too
                continue


def test_a_flood_makes_topics_never_seen_before() -> None:
    """Three times four new names, each once, beside the true message."""
    out, _ = strike(Kind.TOPIC_FLOOD, 4)
    names = Counter(s.topic for s in out if s.topic not in (A, B))
    assert len(names) == 12
    assert set(names.values()) == {1}
    assert seconds_of(A, out) == list(range(10))


def test_bare_numbers_can_be_tampered_with_too() -> None:
    """A spike on `2.5` is `7.5`."""
    spike = Fault(Kind.SPIKE, "*", 0, SECOND_NS, 5.0)
    assert next(inject([Sample("p/pressure", b"2.5", 0)], [spike], [])).payload == b"7.5"


def test_a_fault_can_be_added_while_it_runs() -> None:
    """On demand: from now on."""
    injector = Injector()
    assert len(injector.feed(sample(A, 0))) == 1
    injector.add(Fault(Kind.GAP, "*", 0, 9 * SECOND_NS))
    assert injector.feed(sample(A, 1)) == []
    assert [entry.kind for entry in injector.injected] == [Kind.GAP]


def test_the_schedule_is_seeded_and_about_as_dense_as_asked() -> None:
    """Same seed, same faults, in order; some 120 for 60 an hour over two hours."""
    span: dict[str, Any] = {"start_ns": 0, "end_ns": 7200 * SECOND_NS, "period_s": 1.0, "per_hour": 60.0}
    drawn = schedule(1, [A, B], **span)
    assert drawn == schedule(1, [A, B], **span)
    assert drawn != schedule(2, [A, B], **span)
    assert 80 < len(drawn) < 160
    assert {fault.kind for fault in drawn} == set(Kind)
    assert [f.start_ns for f in drawn] == sorted(f.start_ns for f in drawn)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), kinds=st.sets(st.sampled_from(Kind), min_size=1))
def test_what_goes_in_comes_out_but_for_what_is_reported(seed: int, kinds: set[Kind]) -> None:
    """Under any mixture without gaps: out = in + copies + floods. With gaps and no copies: out = in − gaps."""
    if Kind.GAP in kinds:
        kinds = kinds - {Kind.DUPLICATE, Kind.TOPIC_FLOOD}
    plan = schedule(seed, [A, B], start_ns=0, end_ns=60 * SECOND_NS, period_s=1.0, per_hour=1800.0, kinds=sorted(kinds))
    report: list[Injected] = []
    out = list(inject(both(60), plan, report))
    said = Counter(entry.kind for entry in report)
    assert len(out) == 120 + said[Kind.DUPLICATE] + 20 * said[Kind.TOPIC_FLOOD] - said[Kind.GAP]
