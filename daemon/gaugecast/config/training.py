"""The tables `[train]` and `[tune]`: training by hand. The command line has the same keys as options, from here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from gaugecast.config.table import Table

Words = Literal["tanh", "relu", "sigmoid", "hard_sigmoid", "linear"]


class Train(Table):
    """How `gaugecast train` builds, feeds and fits a model."""

    units: list[int] = Field(
        default=[64], min_length=1, max_length=8, description="units of each LSTM layer, from the input on"
    )
    cell: Literal["lstm", "gru"] = Field(
        default="lstm", description="kind of the recurrent layers; `gru` is stepped by the TensorFlow engine"
    )
    activation: Words = Field(default="tanh", description="activation of candidate and output")
    recurrent_activation: Words = Field(default="sigmoid", description="activation of the gates")
    layer_norm: bool = Field(default=False, description="whether each LSTM layer's output is normalised")
    head: Literal["dense", "none"] = Field(
        default="dense", description="`dense` after the last LSTM, or `none`: its units are the features"
    )
    learn_initial: bool = Field(default=False, description="whether the initial state is learned; else it is zero")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of a layer's inputs dropped in training")
    recurrent_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of a layer's state dropped in training"
    )
    l2: float = Field(default=0.0, ge=0, description="penalty on the squares of all kernels")
    rows: Literal["per_feature", "joint"] | None = Field(
        default=None,
        description="one LSTM row a feature or one for all; default: the fleet's; without one joint for a level",
        examples=['"joint"'],
    )
    scaling: Literal["difference", "standard", "minmax", "running"] = Field(
        default="difference",
        description="`difference`: the next move in its running scale; else the level: `standard` or `minmax` fitted "
        "on the training part, `running` per stream",
    )
    clock: bool | None = Field(
        default=None, description="whether hour and weekday are inputs; default: with `difference`", examples=["true"]
    )
    target: Literal["sequence", "last"] | None = Field(
        default=None,
        description="`sequence`: the series shifted by one, at every step (many-to-many); `last`: at the last step "
        "only (many-to-one); default: sequence when stateful, else last",
        examples=['"sequence"'],
    )
    horizon: int = Field(default=1, ge=1, le=1000, description="steps ahead that are forecast and scored")
    decoder: Literal["closed-loop", "repeat"] = Field(
        default="closed-loop",
        description="beyond the next step: `closed-loop` feeds forecasts back, `repeat` gives all horizons at once "
        "(encoder, RepeatVector, LSTM)",
    )
    decoder_units: list[int] = Field(
        default=[], max_length=8, description="LSTM layers of a repeat decoder; default: one, as the last of `units`"
    )
    stateful: bool | None = Field(
        default=None,
        description="whether the state is carried on from segment to segment; default: unless `look_back` is set",
        examples=["true"],
    )
    look_back: int = Field(default=0, ge=0, le=100_000, description="steps of a window, each from zero state; 0 = none")
    stride: int = Field(default=1, ge=1, description="steps between two windows")
    shuffle: bool = Field(default=True, description="whether windows come in random order; segments never do")
    segment: int = Field(
        default=24, ge=1, le=10_000, description="steps of truncated back-propagation when stateful; the state goes on"
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="streams (stateful, default 1) or windows (default 32) a batch", examples=["1"]
    )
    epochs: int = Field(default=30, ge=1, description="most passes over the training part")
    loss: Literal["mse", "mae", "huber", "pinball"] = Field(
        default="mse", description="what is made small: mse, mae, huber or pinball"
    )
    quantile: float = Field(default=0.5, gt=0, lt=1, description="the quantile that the pinball loss asks for")
    huber_delta: float = Field(default=1.0, gt=0, description="error above which huber is linear")
    optimizer: Literal["adam", "rmsprop"] = Field(default="adam", description="with `weight_decay`, adam is AdamW")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="learning rate at the start")
    weight_decay: float = Field(default=0.0, ge=0, description="share of a kernel that AdamW removes a step, × rate")
    clip_norm: float = Field(default=1.0, ge=0, description="largest norm of the whole gradient; 0 = any")
    clip_value: float = Field(default=0.0, ge=0, description="largest element of the gradient; 0 = any")
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        default="cosine", description="how the rate falls: constant, cosine to `rate_floor`, or lower on each plateau"
    )
    rate_factor: float = Field(default=0.5, gt=0, lt=1, description="plateau: the rate is multiplied by this")
    rate_patience: int = Field(default=5, ge=1, description="plateau: epochs without improvement before that")
    rate_floor: float = Field(default=0.0, ge=0, description="least rate of both schedules")
    early_stop: int = Field(
        default=8, ge=0, description="epochs without improvement after which training ends; 0 = never"
    )
    bridge: int | None = Field(
        default=None,
        ge=0,
        description="longest gap, in ticks, over which the state is carried; a longer one begins anew; default: the "
        "fleet's, 5 without one",
        examples=["5"],
    )
    validation: float = Field(default=0.15, ge=0, lt=1, description="share of each stream after the training part")
    test: float = Field(
        default=0.15, ge=0, lt=1, description="share at each stream's end, never looked at before the report"
    )
    season: int = Field(
        default=0, ge=0, description="steps of the seasonal naive forecast; 0 = a day's, where a day has whole steps"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of first weights, dropout and shuffling")

    @field_validator("units", "decoder_units")
    @classmethod
    def _bound_units(cls, units: list[int]) -> list[int]:
        if any(not 1 <= u <= 4096 for u in units):
            raise ValueError("1 to 4096 units in each layer")
        return units

    @model_validator(mode="after")
    def _check_together(self) -> Train:
        for complaint in _complaints(self):
            raise ValueError(complaint)
        return self

    @property
    def carries_state(self) -> bool:
        """Whether training is stateful."""
        return self.look_back == 0 if self.stateful is None else self.stateful

    @property
    def window(self) -> int:
        """Steps of one piece of training: a segment, or a window."""
        return self.look_back or self.segment

    @property
    def last_only(self) -> bool:
        """Many-to-one: only the last step of a piece has a target."""
        return (self.target or ("sequence" if self.carries_state else "last")) == "last"

    @property
    def batch(self) -> int:
        """Streams or windows a batch."""
        return self.batch_size or (1 if self.carries_state else 32)

    @property
    def decode_steps(self) -> int:
        """Horizons that the model itself gives."""
        return self.horizon if self.decoder == "repeat" else 1


def _complaints(train: Train) -> list[str]:
    """What cannot be had together, each with the reason."""
    found = []
    if train.carries_state and train.look_back and train.stride < train.look_back:
        found.append(
            f"stateful training on overlapping windows is refused: windows of {train.look_back} steps, of which one "
            f"begins every {train.stride}, share {train.look_back - train.stride} steps, and as the state is carried "
            f"from window to window, those readings would be stepped twice and more. Leave out `look_back` (the state "
            f"is the memory), or leave out `stateful` (each window from zero state), or set `stride` to "
            f"{train.look_back}"
        )
    if not train.carries_state and not train.look_back:
        found.append("training without carried state needs windows: set `look_back`, the steps of each")
    if train.schedule == "plateau" and train.rate_floor >= train.learning_rate:
        found.append(
            f"a floor of {train.rate_floor:g} is not below the rate that training starts with, "
            f"{train.learning_rate:g}: the rate could never fall; lower `rate_floor`"
        )
    if train.schedule == "cosine" and train.rate_floor >= train.learning_rate:
        found.append(f"`rate_floor` {train.rate_floor:g} must lie below `learning_rate` {train.learning_rate:g}")
    if train.validation + train.test >= 1:
        found.append(f"validation {train.validation:g} and test {train.test:g} leave nothing to train on")
    if train.weight_decay and train.optimizer != "adam":
        found.append("`weight_decay` is AdamW's: use the optimizer adam, or `l2`")
    if train.decoder_units and train.decoder != "repeat":
        found.append("`decoder_units` belong to the decoder `repeat`")
    if train.decoder == "repeat" and train.head == "none":
        found.append("the decoder `repeat` ends in a Dense layer: use the head `dense`")
    return found
