"""The other way to forecast with an LSTM: no state is kept, each forecast unrolls the last `look_back` steps from zero.

It stands beside the stateful network in comparisons, with the same inputs, units, learner and schedule of updates;
its windows are twice as long, so it costs more, both to forecast and to learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.engine import NumpyEngine
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace
from gaugecast.forecast.scaling import to_forecast
from gaugecast.learn.fit.targets import Lesson, Targets, breaks
from gaugecast.learn.fit.warm_up import warm_up
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.records import Float64

LOOK_BACK = 24


def windowed(
    fed: Sequence[Trace], fleet: Fleet, model: Model, *, seed: int = 0, learn_after: int = 0, look_back: int = LOOK_BACK
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
    recipe, targets = model.manifest.recipe, Targets(fleet, model.manifest)
    layout = targets.layout
    learner, engine = OnlineLearner(model, window=look_back, seed=seed), NumpyEngine(model)
    zero = engine.initial_state(layout.row_count)
    out = np.empty((len(fed), 1, len(layout.forecast)))
    begun = 0
    for t, step in enumerate(fed):
        if t > 0:
            learner.observe(fed[t - 1].inputs[0], zero, targets.after(fed[t - 1], step), fresh=begun == t - 1)
        begun = t if breaks(step) else begun
        if t >= learn_after and (learned := learner.update()) is not None:
            engine = NumpyEngine(learned)
        window = np.stack([f.inputs[0] for f in fed[max(begun, t + 1 - look_back) : t + 1]])
        y, _ = engine.sequence(window, zero)
        out[t, 0] = to_forecast(y[-1][np.newaxis], step.x, step.scale, layout, recipe)[0]
    return out


def warm_windows(model: Model, lessons: Sequence[Lesson], *, look_back: int = LOOK_BACK) -> Model:
    """`warm_up` on windows that begin from zero instead of on whole streams: the same steps, learned as often.

    The steps that the lessons hold out are held out here too.
    """
    pieces = [
        Lesson(lesson.x[a : a + look_back], lesson.target[a : a + look_back], max(0, lesson.learned - a))
        for lesson in lessons
        for a in range(0, len(lesson.x) - look_back + 1, look_back)
    ]
    return warm_up(model, pieces, lanes=1).model
