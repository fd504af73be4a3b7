"""The learner: trains the fleets' models with TensorFlow, in a process of its own. Importing it does not import that.

`initial` begins a model, `warm_up` trains one on what is recorded, `trainer` goes on while it serves.
"""

from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.trainer import OnlineLearner
from gaugecast.learn.warm_up import Trace, WarmUp, warm_up

__all__ = ["OnlineLearner", "Trace", "WarmUp", "initial_model", "manifest_for", "warm_up"]
