"""The learner: trains the fleets' models with TensorFlow, in a process of its own. Importing it does not import that.

From the ground up: `history/` is what was recorded, `fit/` fits networks to it, `score/` says how good forecasts were,
`pages/` draws and writes that. Thin above them: `keras_models/` reads and writes Keras' files, `online/` learns beside
the loop, `backtest/` over history, `train/`, `tune/` and `autoencoder/` by hand.
"""

from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.fit.targets import Lesson
from gaugecast.learn.fit.warm_up import WarmUp, warm_up
from gaugecast.learn.online.trainer import OnlineLearner

__all__ = ["Lesson", "OnlineLearner", "WarmUp", "initial_model", "manifest_for", "warm_up"]
