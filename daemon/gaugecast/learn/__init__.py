"""The learner: trains the fleets' models with TensorFlow, in a process of its own. Importing it does not import that.

`online/` learns beside the loop, `backtest/` over history, `train/`, `tune/` and `autoencoder/` by hand;
`keras_models/` reads and writes Keras' files. All rest on `network` and `descent`; `warm_up` makes first weights good.
"""

from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.learn.warm_up import Trace, WarmUp, warm_up

__all__ = ["OnlineLearner", "Trace", "WarmUp", "initial_model", "manifest_for", "warm_up"]
