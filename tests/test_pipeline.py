"""What `advance` makes of readings: forecasts, gaps, hostile values, bounds, models and fleets that change."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast import events
from gaugecast.errors import Defect
from gaugecast.pipeline import Outcome
from gaugecast.records import Kind, Order, Verdict
from gaugecast.testing import (
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
    verdicts_of,
)

NAN = float("nan")
STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE, SAME_PERIOD = (int(v) for v in Verdict)
JOINED = fleet_of("pq", feature_capture="feature", grace_ns=2 * SECOND)


def test_without_a_model_the_last_value_is_the_forecast_and_says_so() -> None:
    """Persistence at every horizon, flagged `fallback`, with no model's name on it."""
    pipeline = pipeline_of(fleet_of("pq", horizon=3))
    first, second = messages_of(feed(pipeline, [reading(0, 20.5, 3.0), reading(1, 21.0, 3.5)]))
    assert first["quality"] == ["warming", "fallback"]
    assert second["quality"] == ["fallback"]
    assert second["forecast"] == {"p": 21.0, "q": 3.5}
    assert [h["forecast"]["p"] for h in second["horizons"]] == [21.0, 21.0, 21.0]
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
        assert all(h["forecast"] == {"p": 21.37, "q": -4.0} for h in message["horizons"])


def test_a_first_look_further_ahead_leaves_the_state_alone() -> None:
    """Forecasting H steps in closed loop changes nothing for the next reading."""
    short, far = (fleet_of("pq", horizon=h) for h in (1, 12))
    inputs = [reading(i, 20 + np.sin(i), i % 3) for i in range(30)]
    one, other = (messages_of(feed(pipeline_of(fleet, models=[model_for(fleet)]), inputs)) for fleet in (short, far))
    assert [m["forecast"] for m in one] == [m["forecast"] for m in other]
    assert [h["in"] for h in other[-1]["horizons"]] == [f"{h}s" for h in range(1, 13)]


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
    totals = pipeline.parts["tanks"].totals
    assert (totals.gaps, totals.bridged_steps, totals.resets) == (1, 2, 0)
    literal = pipeline_of(fleet, models=[model])
    state = feed(literal, warm)
    for tick in (12, 13):  # the forecast of each absent tick, fed back by hand
        state = feed(literal, [reading(tick, outputs_value(state))])
    (by_hand,) = messages_of(feed(literal, [reading(14, 20.5)]))
    # the statistics differ, for forecasts are no measurements; the state's path is the same up to that
    assert message["forecast"]["p"] == pytest.approx(by_hand["forecast"]["p"], abs=0.2)


def outputs_value(outcomes: list[Outcome]) -> float:
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
    assert pipeline.parts["tanks"].totals.resets == 1


def test_a_reset_is_a_new_beginning_for_the_named_stream_only() -> None:
    """`streams reset` on one stream leaves the other as it was; an unknown name is no error."""
    fleet = fleet_of("p")
    model = model_for(fleet)
    pipeline = pipeline_of(fleet, models=[model])
    feed(pipeline, [reading(i, 20 + np.sin(i), stream=s) for i in range(6) for s in "ab"])
    order = Order(events.StreamsReset(), "tanks", "a").stamped(T0)
    pipeline.advance([order, order._replace(stream="nobody")])
    a, b = messages_of(feed(pipeline, [reading(6, 20.0, stream="a"), reading(6, 20.0, stream="b")]))
    assert a["quality"] == ["warming", "fallback"]
    assert b["quality"] == []


@pytest.mark.parametrize("bridge", [0, 3])
@pytest.mark.parametrize("timed", [True, False])
def test_a_reset_holds_for_a_reading_in_the_tick_of_the_last_one(bridge: int, timed: bool) -> None:
    """A sensor that speaks again a tenth of a period later finds its state new, too, and bridges nothing."""
    fleet = fleet_of("p", bridge=bridge, time_path=("t",) if timed else None)
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    feed(pipeline, [reading(i, 20 + np.sin(i)) for i in range(6)])
    order = Order(events.StreamsReset(), "tanks", "a").stamped(T0)
    (message,) = messages_of(feed(pipeline, [order, reading(5.1, 20.0)]))
    assert message["quality"] == ["warming", "fallback"]


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
    columns = pipeline.parts["tanks"].experts["in_force"].columns
    assert np.isfinite(columns["state"][:2]).all()
    assert np.isfinite(columns["stats"][:2]).all()
    assert all(m["forecast"]["p"] is not None for m in messages_of(mixed))


def test_limits_are_those_of_the_event_and_not_of_who_replays() -> None:
    """A replay under another configuration gives the verdicts that were given."""
    began = Order(events.LimitsSet(2, 100.0, 500.0)).stamped(T0)
    verdicts = []
    for most in (1, 2, 5):
        pipeline = pipeline_of(fleet_of("p"), max_streams=most)
        pipeline.advance([began])
        verdicts.append(verdicts_of(feed(pipeline, [reading(0, 1.0, stream=name) for name in "abc"])))
    assert verdicts == [[Verdict.STEPPED, Verdict.STEPPED, Verdict.REJECTED]] * 3


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
    reject = reading(0, 1.0)._replace(kind=Kind.REJECT, reason="not_json", values=b"")
    outcome = pipeline.advance([reject])
    assert (outcome.verdicts, list(outcome.outputs)) == ([REJECTED], [])
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
    before = pipeline.parts["tanks"].experts["in_force"].columns["state"][0].copy()
    pipeline.advance([installed(other)])
    assert np.array_equal(pipeline.parts["tanks"].experts["in_force"].columns["state"][0], before)
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
    promoted = Order(events.ShadowPromoted(other.manifest.version), "tanks").stamped(T0)
    (message,) = messages_of(feed(pipeline, [promoted, reading(9, 20.0)]))
    assert (message["model"], message["quality"]) == (other.manifest.version, [])


def test_a_changed_configuration_keeps_names_keys_and_held_readings() -> None:
    """An open tick is closed under the old features; under the new ones steps count on and old readings are known."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN), reading(0, NAN, 5.0), reading(1, 21.0, NAN)])
    wider = fleet_of("pqr", feature_capture="feature", grace_ns=2 * SECOND)
    outcome = pipeline.advance([Order.configuring(wider).stamped(T0)])
    assert [(o.step, o.cause) for o in outcome.outputs] == [(2, 0)]
    totals = pipeline.parts["tanks"].totals
    assert (totals.stepped, totals.held) == (3, 0)
    outcomes = feed(pipeline, [reading(1, 21.0, NAN, NAN, dup=True), reading(2, 1.0, 2.0, 3.0)])
    assert verdicts_of(outcomes) == [DUPLICATE, STEPPED]
    assert [o.step for o in outputs_of(outcomes)] == [3]


def test_a_retired_fleet_publishes_what_it_held() -> None:
    """Its open ticks close; after that its streams are gone."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN)])
    retired = Order(events.FleetRetired(), "tanks").stamped(T0)
    assert len(pipeline.advance([retired]).outputs) == 1
    assert pipeline.streams == 0


def test_an_event_row_without_an_event_is_a_defect() -> None:
    """Nothing of it is taken as something else."""
    empty = Order(events.SessionLost()).stamped(T0)._replace(event=None)
    with pytest.raises(Defect, match="with an event expected"):
        pipeline_of(JOINED).advance([empty])


def test_a_promotion_without_a_shadow_changes_nothing() -> None:
    """The model in force stays in force; one that comes after the fleet has left concerns nobody."""
    model = model_for(JOINED)
    pipeline = pipeline_of(JOINED, models=[model])
    pipeline.advance([Order(events.ShadowPromoted("x"), "tanks").stamped(T0)])
    in_force = pipeline.parts["tanks"].in_force
    assert in_force is not None
    assert in_force.version == model.manifest.version
    pipeline.advance([Order(events.ShadowPromoted("x"), "boilers").stamped(T0)])
    assert list(pipeline.parts) == ["tanks"]


def test_a_lineage_is_named_from_its_event_on_wherever_the_batch_ends() -> None:
    """Also within one batch: what was said before it does not name it."""
    begun = Order(events.LineageBegun("0a0b0c0d")).stamped(T0)
    rows = [
        reading(0, 1.0),
        begun,
        reading(1, 1.0),
        Order.configuring(fleet_of("p", horizon=2)).stamped(T0),
        reading(2, 1.0),
    ]
    for size in (1, 2, len(rows)):
        made = messages_of(feed(pipeline_of(fleet_of("p")), rows, size))
        assert [m.get("lineage") for m in made] == [None, "0a0b0c0d", "0a0b0c0d"]


def test_a_stream_goes_on_under_another_id_with_all_that_is_known_of_it() -> None:
    """Its next forecast is what it would have been; the old id begins anew, and no step number comes twice."""
    fleet = fleet_of("p")
    renamed = Order(events.StreamRenamed("b"), "tanks", "a").stamped(T0)
    plain = messages_of(
        feed(pipeline_of(fleet, models=[model_for(fleet)]), [reading(i, 1.0 + i % 3) for i in range(6)])
    )
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    feed(pipeline, [reading(i, 1.0 + i % 3) for i in range(5)])
    made = messages_of(feed(pipeline, [renamed, reading(5, 1.0 + 5 % 3, stream="b"), reading(6, 1.0), renamed]))

    assert [(m["stream"], m["step"]) for m in made] == [("b", 6), ("a", 6)]
    assert (made[0]["forecast"], made[0]["predicted"]) == (plain[5]["forecast"], plain[5]["predicted"])
    assert "warming" in made[1]["quality"]
    assert sorted(pipeline.parts["tanks"].table.slots) == ["a", "b"], "one that is there is never overwritten"


def test_a_stream_that_is_forgotten_leaves_its_step_number() -> None:
    """Nothing else: it begins anew if it ever speaks again, and counts on."""
    pipeline = pipeline_of(fleet_of("p"))
    forgotten = Order(events.StreamForgotten(), "tanks", "a").stamped(T0)
    feed(pipeline, [reading(0, 1.0), reading(1, 1.0), forgotten])
    assert len(pipeline.parts["tanks"].table) == 0
    feed(pipeline, [forgotten])
    (back,) = messages_of(feed(pipeline, [reading(2, 1.0)]))
    assert (back["step"], back["predicted"]) == (3, {"p": None})
