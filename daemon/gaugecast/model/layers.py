"""Layers that a model may be made of: what each is called, what it remembers, and which weights it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: What the NumPy engine knows, then what only the TensorFlow engine does; by their names in Keras 3.
Activation = Literal[
    "tanh", "relu", "sigmoid", "hard_sigmoid", "linear",
    "celu", "elu", "exponential", "gelu", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "mish", "relu6",
    "selu", "silu", "softplus", "softsign",
]  # fmt: skip
Cell = Literal["lstm", "gru", "simple_rnn", "dense", "affine"]
Shape = tuple[int, ...]

NUMPY_ACTIVATIONS = ("tanh", "relu", "sigmoid", "hard_sigmoid", "linear")
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
#: Added to the variance in a layer norm, so that rows without any do not divide by 0: Keras's default, fixed here.
NORM_EPSILON = 1e-3
#: What a layer remembers from step to step, `units` floats each.
STATE_PARTS: dict[Cell, tuple[str, ...]] = {
    "lstm": ("h", "c"), "gru": ("h",), "simple_rnn": ("h",), "dense": (), "affine": ()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, as Keras means it; `layer_norm` normalises its output sequence, not its state.

    Attributes:
        recurrent_activation: Of the gates; of `lstm` and `gru` only.
        cell: All but `lstm` are the TensorFlow engine's. `affine`: each float times a scale plus a shift (what
            BatchNormalization is once it is trained), then the activation.
        reset_after: Of `gru` only: the reset gate comes after the product, and there are two biases.
    """

    units: int
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    layer_norm: bool = False
    cell: Cell = "lstm"
    reset_after: bool = True

    @property
    def state_size(self) -> int:
        """Floats of state a row."""
        return self.units * len(STATE_PARTS[self.cell])

    def weight_shapes(self, width: int) -> dict[str, Shape]:
        """Name and shape of the weights over `width` inputs, in Keras's order (gates i, f, c, o or z, r, h)."""
        units = self.units
        if self.cell == "affine":
            return {"scale": (units,), "shift": (units,)}
        if self.cell == "dense":
            return {"kernel": (width, units), "bias": (units,)}
        gates = {"lstm": 4, "gru": 3, "simple_rnn": 1}[self.cell]
        biases = (2, gates * units) if self.cell == "gru" and self.reset_after else (gates * units,)
        return {"kernel": (width, gates * units), "recurrent": (units, gates * units), "bias": biases}
