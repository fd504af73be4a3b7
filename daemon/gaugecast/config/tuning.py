"""The table `[tune]`: what `gaugecast tune` searches over."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gaugecast.config.table import Table

#: Keys of `Tune` that hold the values to try of a key of `Train`.
SEARCHED = ("learning_rate", "dropout", "segment", "look_back", "epochs", "batch_size")


class Tune(Table):
    """What `gaugecast tune` tries; where a list is empty, the value in `[train]` stays as it is."""

    trials: int = Field(default=20, ge=1, description="trainings in all, those of earlier runs included")
    sampler: Literal["tpe", "grid", "random"] = Field(
        default="tpe", description="`tpe` learns from earlier trials, `grid` tries every combination, or `random`"
    )
    units: list[int] = Field(default=[16, 32, 64], description="units to try, of each layer on its own")
    layers: list[int] = Field(default=[1], min_length=1, description="numbers of LSTM layers to try")
    learning_rate: list[float] = Field(
        default=[], description="rates to try; but for a grid, two numbers are the ends of a range"
    )
    dropout: list[float] = Field(
        default=[], description="dropouts to try; but for a grid, two numbers are the ends of a range"
    )
    segment: list[int] = Field(default=[], description="segment lengths to try, when stateful")
    look_back: list[int] = Field(default=[], description="look-backs to try; 0 = stateful")
    epochs: list[int] = Field(default=[], description="numbers of epochs to try")
    batch_size: list[int] = Field(default=[], description="batch sizes to try")
    tune_seed: int = Field(
        default=0, ge=0, lt=2**31, description="seed of the search; trainings have the seed in `[train]`"
    )

    @model_validator(mode="after")
    def _check_layers(self) -> Tune:
        if any(not 1 <= n <= 8 for n in self.layers):
            raise ValueError(f"layers: 1 to 8 each, got {self.layers}")
        return self
