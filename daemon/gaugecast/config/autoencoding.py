"""The table `[autoencoder]`: an LSTM encoder–decoder that rebuilds what is usual; its error finds what is not."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from gaugecast.config.table import Table


class Autoencoder(Table):
    """How `gaugecast autoencoder` fits a reconstruction detector, and when that alarms."""

    window: int = Field(default=10, ge=2, le=10_000, description="steps of the sliding window that is rebuilt")
    encoder: list[int] = Field(
        default=[64, 32], min_length=1, max_length=8, description="LSTM layers of the encoder, many-to-one"
    )
    decoder: list[int] = Field(
        default=[64], min_length=1, max_length=8, description="LSTM layers of the decoder, one-to-many"
    )
    error: Literal["absolute", "squared"] = Field(
        default="absolute",
        description="mean `absolute` or `squared` error of a window: what is fitted, and what alarms",
    )
    epochs: int = Field(default=40, ge=1, description="most passes over the training part")
    batch_size: int = Field(default=32, ge=1, description="windows a batch")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="Adam's")
    early_stop: int = Field(default=6, ge=0, description="epochs without improvement that end training; 0 = never")
    validation: float = Field(default=0.1, ge=0, lt=1, description="share at the training part's end, to stop by")
    train_rows: float = Field(
        default=400, gt=0, description="rows at each file's start that are taken as usual; up to 1 a share of all"
    )
    quantile: float = Field(default=0.99, gt=0, lt=1, description="of the training part's errors, for the threshold")
    margin: float = Field(default=1.5, gt=0, description="factor on it")
    hold: int | None = Field(
        default=None,
        ge=1,
        description="windows in a row above the threshold before a row is an alarm; default: `window` less one",
        examples=["1"],
    )
    stride: int = Field(
        default=1, ge=1, le=10_000, description="served live: steps from one window that is rebuilt to the next"
    )
    ignore: list[str] = Field(
        default=["anomaly", "changepoint"], description="columns that are not fed, labels above all"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="of first weights and shuffling")

    @field_validator("encoder", "decoder")
    @classmethod
    def _bound_units(cls, units: list[int]) -> list[int]:
        if any(not 1 <= u <= 4096 for u in units):
            raise ValueError("1 to 4096 units in each layer")
        return units

    @property
    def windows_held(self) -> int:
        """Windows in a row above the threshold before a row is an alarm."""
        return self.hold or self.window - 1
