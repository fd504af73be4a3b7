"""The pure middle as one thing: inputs in, forecasts and verdicts out. The same inputs always give the same results.

`pipeline` has `Pipeline.advance`. On its way a reading passes `intake` (a batch is sorted into rounds),
`fleet_pipeline` (the streams of one fleet are stepped) and `forecast_writer` (the messages). `batch_result` is what
`advance` gives back and what is counted. `waiting` says what is due when no reading comes. `fits` asks whether a
model can serve a fleet.

State is taken out and put back by `state` (all of it, for a checkpoint), `parking` (one idle stream) and `memories`
(one model). `solo` runs a model over past inputs by itself.
"""

from gaugecast.pipeline.batch_result import Outcome
from gaugecast.pipeline.pipeline import Pipeline

__all__ = ["Outcome", "Pipeline"]
