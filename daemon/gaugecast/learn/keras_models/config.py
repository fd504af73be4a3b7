"""What a `.keras` file says of its network, read without Keras: enough to refuse before anything is loaded.

A `.keras` file is a zip with `config.json` and `model.weights.h5`. Everything here works on the JSON alone, so a
file with code in it (Lambda layers, custom classes, pickled functions) is refused before any of it could run.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gaugecast.errors import ModelError
from gaugecast.files import regular
from gaugecast.model.layers import ACTIVATIONS, Cell
from gaugecast.model.manifest import MAX_UNITS

MAX_FILE_BYTES = 256 << 20
MAX_CONFIG_BYTES = 4 << 20
#: Layers that do nothing when forecasts are made.
IDLE = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")
#: Recurrent layers, and what the manifest calls them.
RECURRENT: dict[str, Cell] = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn"}
RNN_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
#: Layers that look at one step only, so that TimeDistributed around them changes nothing.
PER_STEP = ("Dense", "LayerNormalization", "BatchNormalization", "Activation", "ReLU")
KNOWN = ("InputLayer", "Normalization", *RECURRENT, "RepeatVector", *PER_STEP, *IDLE)
#: Layers that have a memory, but not one that is stepped: where one is refused, none is missing.
REFUSED_MEMORIES = ("Bidirectional", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
MEMBERS = frozenset({"metadata.json", "config.json", "model.weights.h5"})
MODELS = ("Sequential", "Functional", "Model")
#: Classes of Keras that hold nothing but numbers, as they occur inside of a layer's configuration.
_INNER_MODULES = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras", "keras.layers", "builtins")

WHY = {
    "Bidirectional": "it reads the series backwards as well, so it needs the future, which a stream does not have yet",
    "Lambda": "it carries code, and nothing from a model file is ever run",
    "RNN": "of an RNN only the cells LSTMCell, GRUCell and SimpleRNNCell are stepped, and stacks of these",
    "Masking": "steps that are absent are bridged or begin the state anew, by the fleet's `bridge`; leave it out",
    "ConvLSTM2D": "only stacks of LSTM, GRU and SimpleRNN layers are stepped",
    "Conv1D": "it looks at several steps at once; only recurrent stacks are stepped, one step at a time",
    "Flatten": "it ties the forecast to a whole window; let the last recurrent layer return its last output instead",
    "Attention": "it looks at a whole window at once; only recurrent stacks are stepped, one step at a time",
}


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """One layer of the chain: class, name and configuration as the file has them.

    Attributes:
        part: Which of the cells of the layer `name` it is, where that is an RNN around cells.
        start: Names of the layers that give the state which a recurrent layer begins with; empty = zero.
    """

    kind: str
    name: str
    config: dict[str, Any]
    part: int | None = None
    start: tuple[str, ...] = ()


def read_layers(path: Path) -> list[KerasLayer]:
    """The file's layers as a chain, input first.

    Raises:
        ModelError: Not a `.keras` file, unsafe, or not one chain of layers.
    """
    config = _read_config(path)
    unsafe = list(dict.fromkeys(_unsafe(config)))
    if unsafe:
        raise refusal(path, [f"unsafe: {what}" for what in unsafe])
    if config.get("class_name") not in MODELS:
        raise refusal(path, [f"expected a Sequential or functional model, found {config.get('class_name')!r}"])
    inner = config["config"]
    layers = inner.get("layers", []) if isinstance(inner, dict) else []
    layers, starts = take_starts(layers)
    _check_chain(path, inner, layers)
    found = []
    for layer in layers:
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
            name = str(layer["config"].get("name", "?"))
            found.append(KerasLayer(layer["class_name"], name, layer["config"], start=starts.get(name, ())))
    return found


def refusal(path: Path, complaints: list[str]) -> ModelError:
    """All that is wrong, a line each."""
    return ModelError(f"{path.name} cannot be served:\n" + "\n".join(f"  - {complaint}" for complaint in complaints))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if regular(path).stat().st_size > MAX_FILE_BYTES:
            raise refusal(path, [f"expected at most {MAX_FILE_BYTES >> 20} MB, found {path.stat().st_size >> 20} MB"])
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            strange = sorted(set(members) - MEMBERS)
            if strange:
                raise refusal(path, [f"unsafe: unknown member {strange[0][:200]!r} in the archive"])
            if "config.json" not in members or members["config.json"].file_size > MAX_CONFIG_BYTES:
                raise refusal(path, ["expected a config.json of at most 4 MB in the archive"])
            total = sum(member.file_size for member in members.values())
            if total > MAX_FILE_BYTES:
                raise refusal(path, [f"expected at most {MAX_FILE_BYTES >> 20} MB unpacked, found {total >> 20} MB"])
            config = msgspec.json.decode(archive.read("config.json"))
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError) as exc:
        raise refusal(path, [f"expected a .keras file (a zip with config.json): {exc}"]) from exc
    if not isinstance(config, dict):
        raise refusal(path, ["expected an object in config.json"])
    return config


def _unsafe(node: object) -> Iterator[str]:
    """Whatever in the configuration names code: lambdas, classes from outside of Keras, unknown registered names."""
    if isinstance(node, list):
        for one in node:
            yield from _unsafe(one)
        return
    if not isinstance(node, dict):
        return
    kind, module = node.get("class_name"), node.get("module")
    if kind is not None and kind != "__keras_tensor__":
        name = str(kind)
        if name in ("__lambda__", "Lambda", "function"):
            yield f"{name!r} carries code, and nothing from a model file is ever run"
        elif isinstance(module, str) and not _of_keras(module):
            yield f"class {name!r} of module {module!r} is not one of Keras"
        elif node.get("registered_name") not in (None, name) and ">" in str(node.get("registered_name")):
            yield f"custom class {node.get('registered_name')!r}"
    for key, one in node.items():
        if key != "compile_config":
            yield from _unsafe(one)


def _of_keras(module: str) -> bool:
    return module in _INNER_MODULES or module.startswith(("keras.src.models.", "keras.layers", "keras.dtype_policies"))


def take_starts(layers: Any) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """A functional model's layers without those that only give initial states, and the names of these by layer.

    Such a state is a linear Dense layer over the mean of the inputs: whether it is a constant, its kernel tells.
    """
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return layers, {}
    starts: dict[str, tuple[str, ...]] = {}
    chain = []
    for layer in layers:
        nodes = layer.get("inbound_nodes") or [{}]
        state = nodes[0].get("kwargs", {}).get("initial_state") if isinstance(nodes[0], dict) else None
        if state and layer.get("class_name") in RECURRENT:
            starts[str(layer.get("name"))] = tuple(_histories(state))
            layer = {**layer, "inbound_nodes": [{"args": nodes[0].get("args", [])}]}
        chain.append(layer)
    states = {name for names in starts.values() for name in names}
    beside = [layer for layer in chain if layer.get("name") in states and _is_linear(layer)]
    fed_by = {name for layer in beside for name in _histories(layer.get("inbound_nodes", []))}
    beside += [
        layer for layer in chain if layer.get("name") in fed_by and layer["class_name"] == "GlobalAveragePooling1D"
    ]
    return [layer for layer in chain if layer not in beside], starts


def _is_linear(layer: dict[str, Any]) -> bool:
    return layer.get("class_name") == "Dense" and layer.get("config", {}).get("activation") in (None, "linear")


def _check_chain(path: Path, inner: object, layers: object) -> None:
    """Each layer has the one before it as its only input (functional models say so; a Sequential is one)."""
    if not isinstance(inner, dict) or not isinstance(layers, list) or not layers:
        raise refusal(path, ["expected a list of layers"])
    if "input_layers" not in inner:
        return
    before: str | None = None
    for layer in layers:
        found = list(_histories(layer.get("inbound_nodes", [])))
        expected = [] if before is None else [before]
        if found != expected:
            raise refusal(
                path,
                [f"expected one chain of layers; {layer.get('name')!r} is fed by {found or 'nothing'}, not {before!r}"],
            )
        before = layer.get("name")


def _histories(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _histories(one)
    elif isinstance(node, dict):
        if "keras_history" in node:
            yield str(node["keras_history"][0])
            return
        for one in node.values():
            yield from _histories(one)


def check_recurrent(layer: KerasLayer) -> Iterator[str]:
    """What keeps a recurrent layer from being stepped."""
    config = layer.config
    yield from check_units(layer)
    yield from check_activation(layer, "activation")
    if layer.kind != "SimpleRNN":
        yield from check_activation(layer, "recurrent_activation")
    if config.get("go_backwards"):
        yield f"{layer.name}: go_backwards reads the series from its end, so it needs the future"
    if config.get("return_state"):
        yield f"{layer.name}: expected return_state False; the daemon keeps the state itself"


def check_units(layer: KerasLayer) -> Iterator[str]:
    """A layer of no known size cannot be built."""
    units = layer.config.get("units")
    if not isinstance(units, int) or not 1 <= units <= MAX_UNITS:
        yield f"{layer.name}: expected 1 to {MAX_UNITS} units, found {units!r}"


def check_activation(layer: KerasLayer, key: str) -> Iterator[str]:
    """An activation has a name of Keras, and no parameters."""
    found = layer.config.get(key) or "linear"
    if found not in ACTIVATIONS:
        yield f"{layer.name}: expected {key} to be one of {', '.join(ACTIVATIONS)}, found {found!r}"
