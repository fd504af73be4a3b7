"""What `advance` promises holds whichever engine steps the model: cuts, company and checkpoints, with GRU layers."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.model import Layer
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Input
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import bodies_of, feed, fleet_of, model_for, outputs_of, pipeline_of, reading
from support.state_bytes import differences

pytestmark = pytest.mark.keras
FLEET = fleet_of("pq", horizon=3, bridge=3)
MODEL = model_for(FLEET, layers=[Layer(7, cell="gru"), Layer(5, cell="simple_rnn")], engine="tensorflow")
STREAMS = "abcde"


def new_pipeline() -> Pipeline:
    """One fleet, its model of GRU layers in force."""
    return pipeline_of(FLEET, models=[MODEL])


def life(length: int = 150) -> list[Input]:
    """Readings of five streams in turn at random, with gaps that are bridged and gaps that are not."""
    rng = np.random.default_rng(4)
    ticks = dict.fromkeys(STREAMS, 0)
    made = []
    for _ in range(length):
        stream = STREAMS[rng.integers(len(STREAMS))]
        ticks[stream] += int(rng.choice([1, 1, 1, 1, 2, 6]))
        made.append(reading(ticks[stream], 20 + rng.random(), 5 * rng.random(), stream=stream))
    return made


@pytest.mark.parametrize("size", [1, 7, 64])
def test_how_inputs_are_cut_into_batches_changes_nothing(size: int) -> None:
    """Bodies, forecasts and every byte of state are those of one call for all."""
    whole, pieces = new_pipeline(), new_pipeline()
    expected, got = outputs_of(feed(whole, life())), outputs_of(feed(pieces, life(), size))
    assert [(o.stream, o.forecast, o.body) for o in got] == [(o.stream, o.forecast, o.body) for o in expected]
    assert differences(pieces, whole) == []


def test_what_others_say_changes_nothing_for_a_stream() -> None:
    """A stream's messages in company are those that it gets alone, byte for byte."""
    crowd = bodies_of(feed(new_pipeline(), life(), 17))
    for stream in STREAMS:
        own = [one for one in life() if one.stream == stream]
        assert bodies_of(feed(new_pipeline(), own))[stream] == crowd[stream]


def test_a_checkpoint_leads_to_the_same_end() -> None:
    """The state is plain float32 columns: restored in the middle, the rest comes out to the bit."""
    inputs = life()
    pipeline = new_pipeline()
    pipeline.advance(inputs[:80])
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 4000))
    expected = pipeline.advance(inputs[80:])
    restored = pipeline_of(models=[MODEL])
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert [o.body for o in restored.advance(inputs[80:]).outputs] == [o.body for o in expected.outputs]
    assert differences(restored, pipeline) == []
