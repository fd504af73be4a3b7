"""The other way to forecast with an LSTM: no state is kept, each forecast unrolls the last `look_back` steps from zero.

It stands beside the stateful network in comparisons, with the same inputs, units, learner and schedule of updates;
its windows are twice as long, so it costs more, both to forecast and to learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.engine import NumpyEngine
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace as Fed
from gaugecast.forecast.scaling import InputLayout, to_forecast, to_target
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.learn.warm_up import Trace, warm_up
from gaugecast.model import Model
from gaugecast.records import Float64

LOOK_BACK = 24


def windowed(
    fed: Sequence[Fed], fleet: Fleet, model: Model, *, seed: int = 0, learn_after: int = 0, look_back: int = LOOK_BACK
) -> Float64:
    """Forecasts of the next step (T, 1, G), each made before the step after it is learned.

    Args:
        fed: One stream's steps, as the pipeline feeds them.
        fleet: The stream's fleet.
        model: Weights to begin with.
        seed: Of the learner's draws.
        learn_after: Steps before the first update.
        look_back: Steps that each forecast sees, and each update unrolls.
    """
    recipe = model.manifest.recipe
    layout = InputLayout.of(fleet.features, model.manifest.rows, recipe)
    learner, engine = OnlineLearner(model, window=look_back, seed=seed), NumpyEngine(model)
    zero = engine.initial_state(layout.row_count)
    out = np.empty((len(fed), 1, len(layout.forecast)))
    begun = 0
    for t, step in enumerate(fed):
        broken = bool(step.steps.fresh[0]) or bool(step.steps.gap[0])
        if t > 0:
            before = fed[t - 1]
            target = None if broken else to_target(step.steps.values, before.x, before.scale, layout, recipe)[0]
            learner.observe(before.inputs[0], zero, target, fresh=begun == t - 1)
        begun = t if broken else begun
        if t >= learn_after and (learned := learner.update()) is not None:
            engine = NumpyEngine(learned)
        window = np.stack([f.inputs[0] for f in fed[max(begun, t + 1 - look_back) : t + 1]])
        y, _ = engine.sequence(window, zero)
        out[t, 0] = to_forecast(y[-1][np.newaxis], step.x, step.scale, layout, recipe)[0]
    return out


def warm_windows(model: Model, traces: Sequence[Trace], *, look_back: int = LOOK_BACK) -> Model:
    """`warm_up` on windows that begin from zero instead of on whole streams: the same steps, learned as often.

    The steps that the traces hold out are held out here too.
    """
    pieces = [
        Trace(trace.x[a : a + look_back], trace.target[a : a + look_back], max(0, trace.learned - a))
        for trace in traces
        for a in range(0, len(trace.x) - look_back + 1, look_back)
    ]
    return warm_up(model, pieces, lanes=1).model
