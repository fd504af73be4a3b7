"""What was found of streams' anomalies outlives restarts, new versions and configurations; and the record of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly import calibration
from gaugecast.pipeline import Pipeline, frozen, parking, state
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.records import Float64, Input, Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, fleet_of, outputs_of, pipeline_of, reading
from gaugecast.watching import AnomalySettings
from test_pipeline_anomalies import BREAKS, FLEET, new_pipeline, saw, told_of, values_of

#: What checkpoints lacked before these were thought of.
NEW = ("gross", "arrived", "quiet", "age")


def found_in(pipeline: Pipeline, inputs: list[Input]) -> tuple[Order, events.ReferenceFrozen]:
    """The one order that these inputs lead to, and its event."""
    (order,) = [one for outcome in feed(pipeline, inputs, 7) for one in outcome.orders]
    assert isinstance(order.event, events.ReferenceFrozen)
    return order, order.event


def read_again(event: events.ReferenceFrozen) -> events.Event:
    """As the ledger gives it back."""
    return events.decode_event(events.encode_event(event))


def test_what_is_found_of_a_sensor_that_hardly_moves_can_be_read_again() -> None:
    """Its inverse variance would be no number: it takes no part, and the other feature is judged all the same."""
    values = values_of()
    values[:, 1] = np.arange(len(values)) % 2 * 2e-155
    _, event = found_in(new_pipeline(model=False), [reading(i, *values[i].tolist()) for i in range(160)])
    assert event.spread[1] == 0.0
    assert [limit is None for limit in event.limits["reference"]] == [False, True]
    assert read_again(event) == event


def test_a_number_that_is_none_goes_into_the_ledger_as_such() -> None:
    """Whatever a reference became: what was written once is read at each start."""
    one = {name: array[:1].copy() for name, array in Anomalies(FLEET, 1).columns}
    for name in ("weights", "precision", "mean", "spread"):
        one[name].flat[0] = np.inf
    event = frozen.reference_of(one, 0, None)
    assert (event.weights[0][0], event.precision[0][0], event.mean[0], event.spread[0]) == (None,) * 4
    assert read_again(event) == event


def test_the_record_of_a_reference_leaves_a_checkpoint_under_way() -> None:
    """It changes nothing; a fleet that grows would never have a checkpoint else."""
    pipeline = new_pipeline(model=False)
    order, _ = found_in(pipeline, saw(0, 160))
    state.begin_snapshot(pipeline)
    pipeline.advance([order.stamped(T0)])
    assert pipeline.snapshot is not None


def restored(pipeline: Pipeline, without: tuple[str, ...], **cut: int) -> Pipeline:
    """What a checkpoint leads to that lacks columns of what detectors remember, or has fewer of others' last axis."""
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    kept = []
    for name, start, rows in slices:
        column = name.removeprefix("tanks/anomaly/")
        if column == name or column not in without:
            kept.append(Slice(name, start, rows[..., : cut.get(column, rows.shape[-1])].copy()))
    made = pipeline_of(max_streams=5)
    state.restore(made, header, kept)
    return made


def column_of(pipeline: Pipeline, name: str) -> Float64:
    """Of stream `a`."""
    watching, slot = pipeline.parts["tanks"].anomalies, pipeline.parts["tanks"].table.slots["a"]
    assert watching is not None
    return np.asarray(watching.of(name, slot))


def test_a_checkpoint_of_the_version_before_keeps_what_is_usual() -> None:
    """It lacks columns; a fault that is under way goes on, is not learned as usual, and ends when it is mended."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, saw(0, BREAKS + 20))
    later = restored(pipeline, NEW)
    assert column_of(later, "stage") == calibration.FROZEN
    assert column_of(later, "limit").tobytes() == column_of(pipeline, "limit").tobytes()
    told = [told_of(outputs_of(feed(each, saw(BREAKS + 20)))) for each in (later, pipeline)]
    assert [(one["event"], one["id"], one["at"]) for one in told[0]] == [
        (one["event"], one["id"], one["at"]) for one in told[1]
    ]


def test_a_checkpoint_with_another_layout_begins_anomalies_anew() -> None:
    """Limits without the statistics that they are of would be worth nothing."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, saw(0, BREAKS))
    assert np.isinf(column_of(restored(pipeline, (), runs=1), "limit")).all()


def with_state(said_by: str) -> Fleet:
    """One of two inputs says the state of the machine."""
    return fleet_of("prs", inputs="rs", anomaly=AnomalySettings(healthy=120, settle=10, mode=said_by))


def test_another_feature_that_says_the_state_begins_anew() -> None:
    """Its values mean something else; the same goes for what is kept of a stream that is parked."""
    before = Anomalies(with_state("r"), 5)
    assert Anomalies(with_state("s"), 5, before).columns is not before.columns
    assert Anomalies(with_state("r"), 5, before).columns is before.columns
    meanings = {parking._meaning(pipeline_of(with_state(one)).parts["tanks"], "anomaly") for one in "rs"}
    assert len(meanings) == 2
    none = replace(with_state("r"), anomaly=AnomalySettings())
    assert parking._meaning(pipeline_of(none).parts["tanks"], "anomaly") not in meanings


def test_the_record_names_the_state_that_it_is_of() -> None:
    """Not the value that came with it, where that says that the machine is off, which is no state."""
    settings = AnomalySettings(healthy=120, settle=10, mode="r", off=(0.0,))
    values, said = values_of(), np.ones(320)
    said[115:] = 0.0
    fleet = fleet_of("pqr", inputs="r", anomaly=settings)
    inputs = [reading(i, *values[i].tolist(), float(said[i])) for i in range(160)]
    _, event = found_in(pipeline_of(fleet), inputs)
    assert event.mode == 1.0
