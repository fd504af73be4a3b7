"""The learner: trains the fleets' models with TensorFlow, in a process of its own. Importing it does not import that.

Beside the loop: `process` is its life, `follower` its own pipeline at the ledger's tail, `first_lessons` the past of a
fleet without a model; `pupil` is a fleet, `student` and `memory` what it is shown, `trainer` and `descent` the updates.
Over history: `warm_up`, `lockstep`, and `backtest` with `baselines`, `windowed`, `score` and `plots`.
By hand: `train/`, `tuning`, `autoencoder/`. From and to Keras: `importing`, `keras_*`, `network`.
"""

from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.trainer import OnlineLearner
from gaugecast.learn.warm_up import Trace, WarmUp, warm_up

__all__ = ["OnlineLearner", "Trace", "WarmUp", "initial_model", "manifest_for", "warm_up"]
