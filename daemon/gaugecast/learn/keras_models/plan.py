"""The chain of a `.keras` file sorted into the places of a manifest, with a complaint for each layer that has none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from gaugecast.learn.keras_models.config import (
    IDLE,
    KNOWN,
    PER_STEP,
    RECURRENT,
    REFUSED_MEMORIES,
    RNN_CELLS,
    WHY,
    KerasLayer,
    check_activation,
    check_recurrent,
    check_units,
)
from gaugecast.model import Layer
from gaugecast.model.layers import NORM_EPSILON, NUMPY_ACTIVATIONS, STATE_PARTS, Activation, Cell
from gaugecast.model.manifest import EngineName


@dataclass(slots=True)
class Placed:
    """One layer of the file as one of the manifest's; its LayerNormalization, where one follows it, goes with it."""

    source: KerasLayer
    layer: Layer
    norm: KerasLayer | None = None


@dataclass(slots=True)
class Plan:
    """The chain, sorted into the manifest's places.

    Attributes:
        shape: Of the input, (batch, steps, features), `None` where it is open.
        repeat: Steps of the RepeatVector; 0 = there is none.
        recurrent: Which parts of the file have a recurrent layer, be it one that is refused.
        look_back: 0 where the network carries its state, or gives an output at each step of a series of any length.
    """

    layers: list[Placed] = field(default_factory=list)
    decoder: list[Placed] = field(default_factory=list)
    normalization: KerasLayer | None = None
    head: Placed | None = None
    repeat: int = 0
    shape: tuple[int | None, ...] = ()
    look_back: int = 0
    complaints: list[str] = field(default_factory=list)
    recurrent: set[Literal["encoder", "decoder"]] = field(default_factory=set)

    @property
    def chain(self) -> list[Placed]:
        """Where the next layer goes."""
        return self.decoder if self.repeat else self.layers

    @property
    def inputs(self) -> int | None:
        """Features of the input."""
        return self.shape[2] if len(self.shape) == 3 else None

    @property
    def width(self) -> int | None:
        """Floats that come out of the last layer so far."""
        if self.head is not None:
            return self.head.layer.units
        last = (self.decoder or self.layers)[-1:]
        return last[0].layer.units if last else self.inputs

    @property
    def rebuilds(self) -> bool:
        """Whether it gives as many steps of as many features as it is fed: so does what rebuilds its window."""
        return 0 < self.repeat == self.look_back and self.width == self.inputs

    @property
    def engine(self) -> EngineName:
        """NumPy wherever it can: LSTM layers with activations that it has."""
        return "numpy" if all(map(_steps_in_numpy, (p.layer for p in (*self.layers, *self.decoder)))) else "tensorflow"


def sort_layers(layers: list[KerasLayer]) -> Plan:
    """Put each layer in its place, and note what cannot be served."""
    plan = Plan()
    for layer in layers:
        for one in _unfold(layer):
            plan.complaints += _place(plan, one)
    _take_head(plan)
    if "encoder" not in plan.recurrent:
        plan.complaints.append(f"expected at least one recurrent layer ({', '.join(RECURRENT)}), found none")
    if plan.decoder and plan.head is None:
        plan.complaints.append("expected a linear Dense or TimeDistributed(Dense) after the decoder, found none")
    if plan.repeat and "decoder" not in plan.recurrent:
        plan.complaints.append("expected a recurrent layer after RepeatVector, found none")
    plan.look_back = _look_back(plan)
    return plan


def _steps_in_numpy(layer: Layer) -> bool:
    known = layer.activation in NUMPY_ACTIVATIONS and layer.recurrent_activation in NUMPY_ACTIVATIONS
    return layer.cell == "lstm" and known


def _remembers(placed: Placed) -> bool:
    return bool(STATE_PARTS[placed.layer.cell])


def _unfold(layer: KerasLayer) -> Iterator[KerasLayer]:
    """RNN around cells as the layers of these cells, TimeDistributed around a layer of single steps as that layer."""
    config = layer.config
    inner = config.get("cell" if layer.kind == "RNN" else "layer")
    if layer.kind == "TimeDistributed" and isinstance(inner, dict) and inner.get("class_name") in (*PER_STEP, *IDLE):
        yield KerasLayer(inner["class_name"], layer.name, inner["config"])
        return
    if layer.kind != "RNN" or not isinstance(inner, dict):
        yield layer
        return
    cells = inner["config"]["cells"] if inner.get("class_name") == "StackedRNNCells" else [inner]
    outer = {key: config.get(key) for key in ("stateful", "go_backwards", "return_state", "return_sequences")}
    for i, cell in enumerate(cells):
        kind = RNN_CELLS.get(cell["class_name"], str(cell["class_name"]))
        inside = {"return_sequences": True} if i < len(cells) - 1 else {}
        yield KerasLayer(kind, layer.name, cell["config"] | outer | inside, part=i)


def _place(plan: Plan, layer: KerasLayer) -> Iterator[str]:
    kind = layer.kind
    if kind in RECURRENT or kind in REFUSED_MEMORIES:
        plan.recurrent.add("decoder" if plan.repeat else "encoder")
    if kind not in KNOWN:
        known = f"not a layer that the daemon steps; known are {', '.join(KNOWN)}"
        yield f"{layer.name} ({kind}): {WHY.get(kind, known)}"
    elif kind == "InputLayer":
        plan.shape = tuple(layer.config.get("batch_shape") or layer.config.get("batch_input_shape") or ())
        if len(plan.shape) != 3:
            yield f"{layer.name}: expected shape (batch, steps, features), found {plan.shape}"
    elif kind == "Normalization":
        if plan.layers or plan.normalization is not None or layer.config.get("invert"):
            yield f"{layer.name}: expected Normalization once, as the first layer"
        plan.normalization = layer
    elif kind == "RepeatVector":
        if plan.repeat or "encoder" not in plan.recurrent:
            yield f"{layer.name}: expected RepeatVector once, after the encoder's recurrent layers"
        plan.repeat = int(layer.config["n"])
    elif kind == "LayerNormalization":
        yield from _place_norm(plan, layer)
    elif kind in RECURRENT:
        yield from check_recurrent(layer)
        plan.chain.append(_placed(layer, layer.config.get("units"), RECURRENT[kind]))
    elif kind == "Dense":
        yield from (*check_units(layer), *check_activation(layer, "activation"))
        plan.chain.append(_placed(layer, layer.config.get("units"), "dense"))
    elif kind not in IDLE:
        yield from _place_affine(plan, layer)


def _placed(source: KerasLayer, units: Any, cell: Cell) -> Placed:
    """What does not fit is complained of elsewhere; here it only has to have a place."""
    config = source.config
    gate = config.get("recurrent_activation") if cell in ("lstm", "gru") else "sigmoid"
    reset_after = bool(config.get("reset_after", True)) if cell == "gru" else True
    activation, gate = (cast(Activation, name or "linear") for name in (config.get("activation"), gate))
    return Placed(source, Layer(cast(int, units), activation, gate, cell=cell, reset_after=reset_after))


def _place_affine(plan: Plan, layer: KerasLayer) -> Iterator[str]:
    """BatchNormalization, which is a scale and a shift once it is trained; or an activation by itself."""
    config = layer.config
    if layer.kind == "Activation":
        yield from check_activation(layer, "activation")
    elif layer.kind == "ReLU":
        if config.get("max_value") is not None or config.get("negative_slope") or config.get("threshold"):
            yield f"{layer.name}: expected plain ReLU, found bounds or slopes"
        config = config | {"activation": "relu"}
    elif config.get("axis") not in ([-1], -1, [2], 2):
        yield f"{layer.name}: expected normalisation of each feature (axis -1), found axis {config.get('axis')}"
    plan.chain.append(_placed(KerasLayer(layer.kind, layer.name, config), plan.width, "affine"))


def _place_norm(plan: Plan, layer: KerasLayer) -> Iterator[str]:
    config = layer.config
    if plan.repeat or not plan.layers or plan.layers[-1].norm is not None:
        yield f"{layer.name}: expected LayerNormalization right after another layer of the encoder"
        return
    if not math.isclose(float(config.get("epsilon", NORM_EPSILON)), NORM_EPSILON):
        yield f"{layer.name}: expected epsilon {NORM_EPSILON}, found {config.get('epsilon')}"
    if config.get("rms_scaling") or config.get("axis") not in ([-1], -1, [2], 2):
        yield f"{layer.name}: expected plain normalisation over the units"
    plan.layers[-1].norm = layer


def _take_head(plan: Plan) -> None:
    """A plain Dense layer at the end is the head."""
    last = plan.chain[-1] if plan.chain else None
    if last is not None and last.layer.cell == "dense" and last.layer.activation == "linear" and last.norm is None:
        plan.head = plan.chain.pop()


def _look_back(plan: Plan) -> int:
    """The window that each forecast needs; 0 where the state is carried."""
    encoders = [placed.source for placed in plan.layers if _remembers(placed)]
    if not encoders:
        return 0
    stateful = [bool(layer.config.get("stateful")) for layer in encoders]
    if any(stateful) and not all(stateful):
        plan.complaints.append("expected all recurrent layers stateful, or none; found both")
    inner = [layer.name for layer in encoders[:-1] if not layer.config.get("return_sequences")]
    if inner:
        plan.complaints.append(f"{inner[0]}: expected return_sequences True before another recurrent layer")
    steps = plan.shape[1] if len(plan.shape) == 3 else None
    if all(stateful) or (steps is None and encoders[-1].config.get("return_sequences")):
        return 0
    if steps is None:
        plan.complaints.append(
            "the steps of a window are open (None): a many-to-one network is served with the look-back that it was "
            "trained with; build it with Input((steps, features)), or make its recurrent layers stateful"
        )
        return 0
    return steps
