"""What `advance` makes of readings: steps, forecasts, gaps, absent features, streams that come and go."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.errors import Defect
from gaugecast.pipeline import events
from gaugecast.pipeline.intake import DELIVERIES
from gaugecast.records import Kind, Verdict
from support.pipelines import (
    SECOND,
    T0,
    feed,
    fleet_of,
    installed,
    messages_of,
    model_for,
    outputs_of,
    pipeline_of,
    reading,
    timer,
    verdicts_of,
)

NAN = float("nan")
STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE = (int(v) for v in Verdict)
JOINED = fleet_of("pq", feature_capture="feature", grace_ns=2 * SECOND)


def test_without_a_model_the_last_value_is_the_forecast_and_says_so() -> None:
    """Persistence at every horizon, flagged `fallback`, with no model's name on it."""
    pipeline = pipeline_of(fleet_of("pq", horizon=3))
    first, second = messages_of(feed(pipeline, [reading(0, 20.5, 3.0), reading(1, 21.0, 3.5)]))
    assert first["quality"] == ["warming", "fallback"]
    assert second["quality"] == ["fallback"]
    assert second["forecast"] == {"p": 21.0, "q": 3.5}
    assert [h["p"] for h in second["horizons"]] == [21.0, 21.0]
    assert second["model"] is None
    assert second["predicted"] == {"p": 20.5, "q": 3.0}
    assert second["residual"] == {"p": 0.5, "q": 0.5}
    assert [second["for"] - second["at"], second["step"]] == [1.0, 2]


def test_a_model_forecasts_once_it_is_warm() -> None:
    """The first steps after the beginning are persistence; from then on the model's version is in the message."""
    fleet = fleet_of("pq")
    model = model_for(fleet, warmup_steps=3)
    made = messages_of(feed(pipeline_of(fleet, models=[model]), [reading(i, 20 + i % 3, i) for i in range(5)]))
    assert [m["model"] for m in made] == [None, None] + [model.manifest.version] * 3
    assert [m["quality"] for m in made] == [["warming", "fallback"]] * 2 + [[]] * 3
    assert made[3]["predicted"] == made[2]["forecast"]


def test_constant_in_constant_out() -> None:
    """A sensor that never moves is forecast to the bit, at every horizon, model or not."""
    fleet = fleet_of("pq", horizon=5)
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    for message in messages_of(feed(pipeline, [reading(i, 21.37, -4.0) for i in range(60)])):
        assert message["forecast"] == {"p": 21.37, "q": -4.0}
        assert all((h["p"], h["q"]) == (21.37, -4.0) for h in message["horizons"])


def test_a_first_look_further_ahead_leaves_the_state_alone() -> None:
    """Forecasting H steps in closed loop changes nothing for the next reading."""
    short, far = (fleet_of("pq", horizon=h) for h in (1, 12))
    inputs = [reading(i, 20 + np.sin(i), i % 3) for i in range(30)]
    one, other = (messages_of(feed(pipeline_of(fleet, models=[model_for(fleet)]), inputs)) for fleet in (short, far))
    assert [m["forecast"] for m in one] == [m["forecast"] for m in other]
    assert len(other[-1]["horizons"]) == 11


# -- gaps


def test_a_short_gap_is_bridged_by_the_models_own_forecasts() -> None:
    """Rolled through in closed loop: the same states as if the forecasts had been measured."""
    fleet = fleet_of("p", inputs="", bridge=3)
    model = model_for(fleet)
    pipeline = pipeline_of(fleet, models=[model])
    warm = [reading(i, 20 + np.sin(i)) for i in range(12)]
    feed(pipeline, warm)
    (message,) = messages_of(feed(pipeline, [reading(14, 20.5)]))
    assert message["quality"] == ["bridged"]
    assert message["predicted"] == {"p": None}
    totals = pipeline.lanes["tanks"].totals
    assert (totals.gaps, totals.bridged_steps, totals.resets) == (1, 2, 0)
    literal = pipeline_of(fleet, models=[model])
    state = feed(literal, warm)
    for tick in (12, 13):  # the forecast of each absent tick, fed back by hand
        state = feed(literal, [reading(tick, outputs_value(state))])
    (by_hand,) = messages_of(feed(literal, [reading(14, 20.5)]))
    # the statistics differ, for forecasts are no measurements; the state's path is the same up to that
    assert message["forecast"]["p"] == pytest.approx(by_hand["forecast"]["p"], abs=0.2)


def outputs_value(outcomes: list) -> float:
    """First horizon of the last output."""
    return float(np.frombuffer(outputs_of(outcomes)[-1].forecast, "<f8")[0])


def test_a_long_gap_begins_anew() -> None:
    """More than `bridge` ticks: the state is reset, the stream warms up, step numbers go on."""
    fleet = fleet_of("p", bridge=3)
    pipeline = pipeline_of(fleet, models=[model_for(fleet, warmup_steps=2)])
    feed(pipeline, [reading(i, 20 + np.sin(i)) for i in range(12)])
    made = messages_of(feed(pipeline, [reading(16, 20.5), reading(17, 20.7)]))
    assert [m["quality"] for m in made] == [["warming", "fallback"], []]
    assert [m["step"] for m in made] == [13, 14]
    assert pipeline.lanes["tanks"].totals.resets == 1


def test_a_reset_is_a_new_beginning_for_the_named_stream_only() -> None:
    """`streams reset` on one stream leaves the other as it was; an unknown name is no error."""
    fleet = fleet_of("p")
    model = model_for(fleet)
    pipeline = pipeline_of(fleet, models=[model])
    feed(pipeline, [reading(i, 20 + np.sin(i), stream=s) for i in range(6) for s in "ab"])
    order = events.event_input(events.StreamsReset(), received_at_ns=T0, fleet="tanks", stream="a")
    pipeline.advance([order, order._replace(stream="nobody")])
    a, b = messages_of(feed(pipeline, [reading(6, 20.0, stream="a"), reading(6, 20.0, stream="b")]))
    assert a["quality"] == ["warming", "fallback"]
    assert b["quality"] == []


# -- features in separate messages


def test_features_in_separate_messages_are_one_step() -> None:
    """The tick closes when the last feature has spoken; the first was held."""
    pipeline = pipeline_of(JOINED)
    outcomes = feed(pipeline, [reading(0, 20.0, NAN), reading(0.1, NAN, 5.0)])
    assert verdicts_of(outcomes) == [HELD, STEPPED]
    (message,) = messages_of(outcomes)
    assert message["observed"] == {"p": 20.0, "q": 5.0}
    assert message["quality"] == ["warming", "fallback"]
    totals = pipeline.lanes["tanks"].totals
    assert (totals.held, totals.stepped, totals.forecasts) == (0, 2, 1)


def test_a_later_tick_closes_an_open_one() -> None:
    """What never came is the model's own forecast (here: the last value), and the step says `partial`."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN), reading(0, NAN, 5.0), reading(1, 21.0, NAN)])
    outcomes = feed(pipeline, [reading(2, 22.0, NAN)])
    (message,) = messages_of(outcomes)
    assert message["quality"] == ["partial", "fallback"]
    assert message["observed"] == {"p": 21.0, "q": None}
    assert message["forecast"] == {"p": 21.0, "q": 5.0}
    assert verdicts_of(outcomes) == [HELD]


def test_an_absent_feature_is_the_models_forecast() -> None:
    """With a model in force, what is fed for it is what was forecast for it."""
    model = model_for(JOINED)
    pipeline = pipeline_of(JOINED, models=[model])
    made = feed(pipeline, [reading(i, 20 + np.sin(i), 5 + i % 3) for i in range(9)])
    expected = messages_of(made)[-1]["forecast"]["q"]
    feed(pipeline, [reading(9, 20.1, NAN), timer(20)])
    lane = pipeline.lanes["tanks"]
    assert lane.table["x"][0][1] == pytest.approx(expected, rel=1e-8)
    assert lane.table["seen"][0].tolist() == [True, False]


def test_a_timer_closes_a_tick_after_its_grace_and_not_before() -> None:
    """The wait is counted in arrival time from the tick's first reading; the output's cause is the timer."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN, received_s=10.0), reading(0.2, 20.1, NAN, received_s=11.5)])
    assert pipeline.due(T0 + 11 * SECOND) is False
    assert messages_of(feed(pipeline, [timer(11.9)])) == []
    outcome = pipeline.advance([timer(12.0)])
    assert outcome.verdicts == [NONE]
    assert [o.cause for o in outcome.outputs] == [0]
    assert messages_of([outcome])[0]["observed"] == {"p": 20.1, "q": None}


def test_due_is_told_by_the_time_it_is_due() -> None:
    """The loop may trust `look_again_ns`: before it nothing is due, and what is due is said at once after it."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN, received_s=10.0)])
    now = T0 + 10 * SECOND
    for _ in range(400):
        if pipeline.due(now):
            break
        assert pipeline.look_again_ns > now
        now = pipeline.look_again_ns
    assert T0 + 12 * SECOND <= now <= T0 + 12 * SECOND + 50_000_000


# -- stale streams


def test_a_silent_stream_is_called_stale_once() -> None:
    """One message, the last forecast again; the next reading ends it, and silence after it counts anew."""
    pipeline = pipeline_of(fleet_of("p", stale_after_ns=10 * SECOND))
    feed(pipeline, [reading(0, 20.0), reading(1, 21.0)])
    made = messages_of(feed(pipeline, [timer(10.9), timer(11.0), timer(12.0), timer(500.0)]))
    assert [(m["step"], m["quality"]) for m in made] == [(3, ["fallback", "stale"])]
    assert made[0]["forecast"] == {"p": 21.0}
    assert made[0]["observed"] == {"p": None}
    assert pipeline.due(T0 + 600 * SECOND) is False
    (back,) = messages_of(feed(pipeline, [reading(600, 22.0)]))
    assert back["step"] == 4
    assert "stale" not in back["quality"]
    assert len(messages_of(feed(pipeline, [timer(611)]))) == 1


def test_a_clock_that_is_set_forward_makes_no_stream_stale() -> None:
    """Remembered arrivals move along with the step."""
    pipeline = pipeline_of(fleet_of("p", stale_after_ns=10 * SECOND))
    feed(pipeline, [reading(0, 20.0)])
    step = events.event_input(events.ClockStepped(3600 * SECOND), received_at_ns=T0 + 3601 * SECOND)
    assert messages_of(feed(pipeline, [step, timer(3605)])) == []
    assert len(messages_of(feed(pipeline, [timer(3610)]))) == 1


def test_a_stream_with_an_open_tick_is_not_parked_over_its_readings() -> None:
    """What is held is held in memory only: the tick closes first, and only silence after that parks the stream."""
    fleet = fleet_of("pq", feature_capture="feature", grace_ns=60 * SECOND, park_after_ns=10 * SECOND)
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(0, 1.0, 2.0), reading(1, 1.0, NAN)])
    assert pipeline.advance([timer(30)]).parked == []
    assert pipeline.due(T0 + 30 * SECOND + 1) is False
    assert pipeline.lanes["tanks"].totals.held == 1
    outcome = pipeline.advance([timer(61)])
    assert len(outcome.outputs) == 1
    assert [p.stream for p in pipeline.advance([timer(75)]).parked] == ["a"]
    assert pipeline.lanes["tanks"].totals.held == 0


# -- aggregates


def test_aggregates_join_what_a_tick_brings() -> None:
    """Mean, minimum, maximum and sum over the readings of one tick; the step's time is the tick's."""
    fleet = fleet_of("abcd", aggregates=("mean", "min", "max", "sum"))
    pipeline = pipeline_of(fleet)
    inputs = [reading(t, v, v, v, v) for t, v in ((9.8, 1.0), (10.0, 5.0), (10.2, 3.0))]
    outcomes = feed(pipeline, [*inputs, reading(11.0, 0.0, 0.0, 0.0, 0.0)])
    assert verdicts_of(outcomes) == [HELD] * 4
    (message,) = messages_of(outcomes)
    assert message["observed"] == {"a": 3.0, "b": 1.0, "c": 5.0, "d": 9.0}
    assert message["at"] == T0 / 1e9 + 10
    totals = pipeline.lanes["tanks"].totals
    assert (totals.stepped, totals.held) == (3, 1)


def test_windows_of_aggregates_stay_on_the_clock() -> None:
    """A sensor's own phase does not move them."""
    pipeline = pipeline_of(fleet_of("a", aggregates=("sum",)))
    made = messages_of(feed(pipeline, [reading(0.37 + i / 4, 1.0) for i in range(41)]))
    assert {m["at"] % 1 for m in made} == {0.0}
    assert {m["observed"]["a"] for m in made[1:]} == {4.0}


# -- payloads without time


def test_without_event_time_every_reading_is_a_step() -> None:
    """Also those that come at one instant: a backlog is as many steps as it has messages."""
    fleet = fleet_of("p", time_path=None)
    pipeline = pipeline_of(fleet)
    inputs = [reading(0.0, float(i), received_s=5.0, key=0, delivery=i + 1) for i in range(9)]
    outcomes = feed(pipeline, inputs, 4)
    assert verdicts_of(outcomes) == [STEPPED] * 9
    assert [m["observed"]["p"] for m in messages_of(outcomes)] == list(range(9))
    assert pipeline.lanes["tanks"].totals.gaps == 0


def test_a_redelivery_without_time_counts_once() -> None:
    """DUP and a delivery that was seen: duplicate. Not DUP, or not seen: the next reading."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    inputs = [reading(0, 1.0, key=0, delivery=d, dup=dup) for d, dup in ((7, False), (7, True), (7, False), (8, True))]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, DUPLICATE, STEPPED, STEPPED]


def test_a_lost_session_ends_what_deliveries_mean() -> None:
    """Packet ids begin anew: a DUP of an id that was used before is another message."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    lost = events.event_input(events.SessionLost(), received_at_ns=T0)
    again = reading(1, 1.0, key=0, delivery=7, dup=True)
    assert verdicts_of(feed(pipeline, [reading(0, 1.0, key=0, delivery=7), lost, again])) == [STEPPED, NONE, STEPPED]


def test_the_memory_of_deliveries_is_bounded() -> None:
    """The newest are kept; it never holds more than its bound."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    inputs = [reading(0, 1.0, key=0, delivery=i + 1) for i in range(DELIVERIES + 10)]
    pipeline.advance(inputs)
    assert pipeline.deliveries.as_list() == list(range(11, DELIVERIES + 11))


def test_sequence_numbers_tell_readings_apart() -> None:
    """A number counts once and must rise; one that falls is late, the last one again a duplicate."""
    pipeline = pipeline_of(fleet_of("p", time_path=None, sequence_path=("n",)))
    inputs = [reading(i, float(i), key=n) for i, n in enumerate((5, 6, 6, 4, 9))]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, STEPPED, DUPLICATE, LATE, STEPPED]


# -- hostile values and bounds


HOSTILE = (1e308, -1e308, 1.7e308, 5e-324, -0.0, 1e-300, 3.5e38, -1e39, 1e150, -1e160)


@pytest.mark.parametrize("rows", ["per_feature", "joint"])
def test_absurd_values_break_no_state_and_no_neighbour(rows: str) -> None:
    """Any finite value a payload can hold: states stay finite, and another stream's messages keep their bytes."""
    fleet = fleet_of("pq", rows=rows, horizon=3)
    model = model_for(fleet, units=(8, 5))
    rng = np.random.default_rng(1)
    sane = [reading(i, 20 + np.sin(i), i % 4, stream="sane") for i in range(150)]
    absurd = [reading(i, *rng.choice(HOSTILE, 2).tolist(), stream="absurd") for i in range(150)]
    pipeline = pipeline_of(fleet, models=[model])
    mixed = feed(pipeline, [one for pair in zip(absurd, sane, strict=True) for one in pair], 7)
    alone = feed(pipeline_of(fleet, models=[model]), sane)
    assert [o.body for o in outputs_of(mixed) if o.stream == "sane"] == [o.body for o in outputs_of(alone)]
    columns = pipeline.lanes["tanks"].experts["in_force"].columns
    assert np.isfinite(columns["state"][:2]).all()
    assert np.isfinite(columns["stats"][:2]).all()
    assert all(m["forecast"]["p"] is not None for m in messages_of(mixed))


def test_streams_beyond_the_cap_are_refused_and_the_rest_go_on() -> None:
    """Refused with a reason, a row for the quarantine, counted; known streams are not touched by it."""
    pipeline = pipeline_of(fleet_of("p"), max_streams=2)
    outcomes = feed(pipeline, [reading(0, 1.0, stream=s) for s in "abcab"] + [reading(1, 1.0, stream="a")], 3)
    assert verdicts_of(outcomes) == [STEPPED, STEPPED, REJECTED, DUPLICATE, DUPLICATE, STEPPED]
    assert [(r.stream, r.reason) for o in outcomes for r in o.refused] == [("c", "too_many_streams")]
    assert pipeline.rejects == {("tanks", "too_many_streams"): 1}


def test_streams_come_into_being_no_faster_than_allowed() -> None:
    """A burst of ten seconds' worth, then the rate, by arrival time."""
    pipeline = pipeline_of(fleet_of("p"), new_streams_per_s=2)
    flood = [reading(0, 1.0, stream=f"s{i}") for i in range(30)]
    verdicts = verdicts_of(feed(pipeline, flood, 30))
    assert (verdicts.count(STEPPED), verdicts.count(REJECTED)) == (20, 10)
    later = [reading(0, 1.0, stream=f"t{i}", received_s=1.5) for i in range(9)]
    assert verdicts_of(feed(pipeline, later)).count(STEPPED) == 3


def test_a_decoders_reject_is_counted_and_nothing_else() -> None:
    """It has a verdict and no output; the reading is accounted for."""
    pipeline = pipeline_of(fleet_of("p"))
    reject = reading(0, 1.0)._replace(kind=Kind.REJECT, detail="not_json", values=b"")
    outcome = pipeline.advance([reject])
    assert (outcome.verdicts, outcome.outputs) == ([REJECTED], [])
    assert pipeline.rejects == {("tanks", "not_json"): 1}


def test_a_reading_of_a_fleet_that_nobody_configured_is_a_defect() -> None:
    """The decoder cannot make one: to go on would be to lose it silently."""
    with pytest.raises(Defect, match="configured fleet expected, got one of 'boilers'"):
        pipeline_of(fleet_of("p")).advance([reading(0, 1.0, fleet="boilers")])


# -- models and configurations that change


def test_new_weights_of_the_same_shape_take_over_the_state() -> None:
    """No warming, no reset: the next forecast comes from the new version."""
    fleet = fleet_of("p")
    one, other = model_for(fleet), model_for(fleet, seed=9)
    pipeline = pipeline_of(fleet, models=[one])
    pipeline.load_model = lambda _fleet, _version: other
    feed(pipeline, [reading(i, 20 + np.sin(i)) for i in range(9)])
    before = pipeline.lanes["tanks"].experts["in_force"].columns["state"][0].copy()
    pipeline.advance([installed(other)])
    assert np.array_equal(pipeline.lanes["tanks"].experts["in_force"].columns["state"][0], before)
    (message,) = messages_of(feed(pipeline, [reading(9, 20.0)]))
    assert (message["model"], message["quality"]) == (other.manifest.version, [])


def test_a_shadow_is_warm_when_it_is_promoted() -> None:
    """It saw every step, published nothing, and forecasts at once."""
    fleet = fleet_of("p")
    one, other = model_for(fleet), model_for(fleet, units=(9, 4))
    pipeline = pipeline_of(fleet, models=[one, other][:1])
    pipeline.load_model = lambda _fleet, _version: other
    pipeline.advance([installed(other, "shadow")])
    made = messages_of(feed(pipeline, [reading(i, 20 + np.sin(i)) for i in range(9)]))
    assert made[-1]["model"] == one.manifest.version
    promoted = events.event_input(events.ShadowPromoted(other.manifest.version), received_at_ns=T0, fleet="tanks")
    (message,) = messages_of(feed(pipeline, [promoted, reading(9, 20.0)]))
    assert (message["model"], message["quality"]) == (other.manifest.version, [])


def test_a_changed_configuration_keeps_names_keys_and_held_readings() -> None:
    """An open tick is closed under the old features; under the new ones steps count on and old readings are known."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN), reading(0, NAN, 5.0), reading(1, 21.0, NAN)])
    wider = fleet_of("pqr", feature_capture="feature", grace_ns=2 * SECOND)
    outcome = pipeline.advance([events.configured(wider, received_at_ns=T0)])
    assert [(o.step, o.cause) for o in outcome.outputs] == [(2, 0)]
    totals = pipeline.lanes["tanks"].totals
    assert (totals.stepped, totals.held) == (3, 0)
    outcomes = feed(pipeline, [reading(1, 21.0, NAN, NAN, dup=True), reading(2, 1.0, 2.0, 3.0)])
    assert verdicts_of(outcomes) == [DUPLICATE, STEPPED]
    assert [o.step for o in outputs_of(outcomes)] == [3]


def test_a_retired_fleet_publishes_what_it_held() -> None:
    """Its open ticks close; after that its streams are gone."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN)])
    retired = events.event_input(events.FleetRetired(), received_at_ns=T0, fleet="tanks")
    assert len(pipeline.advance([retired]).outputs) == 1
    assert pipeline.streams == 0
