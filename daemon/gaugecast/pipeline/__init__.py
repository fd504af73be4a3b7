"""The pure middle as one thing: inputs in, outputs and verdicts out, the same for the same inputs for ever."""

from gaugecast.pipeline.pipeline import Outcome, Pipeline

__all__ = ["Outcome", "Pipeline"]
