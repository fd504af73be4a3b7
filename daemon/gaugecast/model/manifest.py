"""What a model says of itself: the shape of its network, the recipe of its inputs, and where it comes from."""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

import msgspec

from gaugecast.errors import ModelError
from gaugecast.fleet import NAME_RULE, Role, Rows, is_fleet_name
from gaugecast.model.detection import Detection, fault_of
from gaugecast.model.layers import NUMPY_ACTIVATIONS, STATE_PARTS, Layer, Shape

EngineName = Literal["numpy", "tensorflow"]
Head = Literal["dense", "none"]
RecipeKind = Literal["difference", "standard", "minmax", "running"]

FORMAT = 1
MAX_UNITS = 4096
MAX_LAYERS = 8
MAX_SIZE = 65_536
MAX_STEPS = 1_000_000
MAX_DECODE_STEPS = 1000
MAX_MANIFEST_BYTES = 1 << 20
_VERSION = re.compile(r"[0-9a-f]{1,64}")
_NO_MEANING = ("fleet", "provenance", "sha256", "version")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How readings become the network's inputs, and its output a forecast.

    Attributes:
        kind: `difference`: the target is (x[t+1] − x[t]) / s, the forecast x[t] + s·y. All others forecast the level
            itself, centre + spread·y, and are fed (x − centre) / spread, never clipped: `standard` and `minmax`
            with `centre` and `spread` as fitted once, `running` with each stream's running mean and deviation.
        half_life_steps: Half-life, in steps, of the running mean and deviations.
        floor: Least scale s, as a share of the long-run mean |difference|.
        clip_sigma: Outliers beyond this many deviations are clipped in the statistics.
        target_clip: Bound of |target|, in units of s.
        move_clip: Bound of a forecast's |move|, in units of s.
        level: The normalised level is an input.
        clock: Hour (two harmonics) and weekday of the target are inputs.
        identity: A one-hot of the feature is an input (rows `per_feature`).
        squash: Inputs pass through sign(x)·log1p(|x|).
        centre: What counts as 0, a number a feature in the fleet's order; `standard` and `minmax` only.
        spread: What counts as 1 above the centre, positive, likewise.
    """

    half_life_steps: float
    kind: RecipeKind = "difference"
    floor: float = 0.1
    clip_sigma: float = 5.0
    target_clip: float = 8.0
    move_clip: float = 10.0
    level: bool = True
    clock: bool = True
    identity: bool = True
    squash: bool = True
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a model but its weights; `model.json`.

    Attributes:
        fleet: The only fleet that this model may forecast.
        features: (name, role) in the fleet's order.
        period_s: Distance of two ticks that it was trained on.
        rows: `per_feature` (one row a forecast feature) or `joint` (one row a stream).
        input_size: Floats in a row of inputs.
        output_size: Floats in a row of outputs, a horizon.
        decoder: Layers that are fed the last output of `layers` at each of `decode_steps` steps, from zero state
            (RepeatVector), and give horizons 1 to `decode_steps` at once; empty = one output a step.
        decode_steps: Horizons that one step of the model gives.
        head: `dense`: a linear Dense layer after the last LSTM; `none`: its output itself.
        warmup_steps: Steps after a reset during which forecasts are marked `warming`.
        look_back: 0 = stateful; else the state is that after the last `look_back` steps from the initial one.
        detection: It is no forecaster but an autoencoder, which rebuilds windows of `decode_steps` steps; and when
            these are unusual.
        engine: Which engine steps it; `numpy` steps LSTM layers with its own activations only.
        provenance: Whatever tells how it came to be: script, seed, rows, figures reached.
        sha256: Digest of the weights file, hexadecimal; empty before `weights.seal_model`.
        version: Names weights and what they mean: `weights.version_of`. In older models: the first 12 digits
            of `sha256`.
    """

    fleet: str
    features: tuple[tuple[str, Role], ...]
    period_s: float
    rows: Rows
    recipe: Recipe
    layers: tuple[Layer, ...]
    input_size: int
    output_size: int
    head: Head = "dense"
    warmup_steps: int = 8
    look_back: int = 0
    decoder: tuple[Layer, ...] = ()
    decode_steps: int = 1
    engine: EngineName = "numpy"
    detection: Detection | None = None
    provenance: dict[str, str | int | float] = field(default_factory=dict)
    sha256: str = ""
    version: str = ""
    format: int = FORMAT

    def weight_shapes(self) -> dict[str, Shape]:
        """Name and shape of each weight that must exist, `lstm0/kernel`: cell and place of the layer, and its own."""
        shapes: dict[str, Shape] = {}
        width = self.input_size
        for i, layer in enumerate(self.layers):
            shapes |= {f"{layer.cell}{i}/{name}": shape for name, shape in layer.weight_shapes(width).items()}
            width = layer.units
            if layer.layer_norm:
                shapes |= {f"norm{i}/gamma": (width,), f"norm{i}/beta": (width,)}
        for i, layer in enumerate(self.decoder):
            shapes |= {f"decoder{i}/{name}": shape for name, shape in layer.weight_shapes(width).items()}
            width = layer.units
        if self.head == "dense":
            shapes |= {"dense/kernel": (width, self.output_size), "dense/bias": (self.output_size,)}
        return shapes

    def optional_shapes(self) -> dict[str, Shape]:
        """Name and shape of each weight that may exist: the learned initial states."""
        return {
            f"initial{i}/{part}": (layer.units,)
            for i, layer in enumerate(self.layers)
            for part in STATE_PARTS[layer.cell]
        }


def is_version(name: str) -> bool:
    """Whether this can be a version: the first digits of a digest."""
    return _VERSION.fullmatch(name) is not None


def decode_manifest(text: bytes) -> Manifest:
    """Read `model.json`.

    Raises:
        ModelError: Not JSON, a field absent, unknown, of a wrong type, or outside its bounds.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise ModelError(f"manifest: expected at most {MAX_MANIFEST_BYTES} bytes, got {len(text)}")
    try:
        raw = msgspec.json.decode(text)
        _check_format(raw)
        manifest = msgspec.convert(raw, Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as exc:
        raise ModelError(f"manifest: {exc}") from exc
    unknown = _unknown_keys(raw, msgspec.to_builtins(manifest), "$")
    if unknown:
        raise ModelError(f"manifest: unknown key {unknown[0]}")
    check_manifest(manifest)
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Write `model.json`; inverse of `decode_manifest`. Of forecasters it has no key that is unknown to older ones."""
    told = msgspec.to_builtins(manifest)
    if manifest.detection is None:
        del told["detection"]
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def encode_meaning(manifest: Manifest) -> bytes:
    """Whatever bears on forecasts, as bytes: all but where the model comes from, whose it is, and its digests.

    What is at its default is left out, so that fields which come later change no version of today. A default,
    once released, must never change.
    """
    plain = msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest)  # 168 becomes 168.0, as when read back
    told = _unlike_default(plain)
    return msgspec.json.encode({k: v for k, v in told.items() if k not in _NO_MEANING}, order="sorted")


def _unlike_default(one: Any) -> Any:
    """A dataclass as a dict, without what is at its default."""
    if isinstance(one, tuple):
        return [_unlike_default(each) for each in one]
    if not hasattr(one, "__dataclass_fields__"):
        return one
    named = {f: getattr(one, f.name) for f in fields(one)}
    return {f.name: _unlike_default(v) for f, v in named.items() if f.default is MISSING or v != f.default}


def check_manifest(manifest: Manifest) -> None:
    """Hold a manifest against its bounds.

    Raises:
        ModelError: Names the field, what was expected and what came.
    """
    _expect(manifest.format == FORMAT, "format", f"{FORMAT}", manifest.format)
    _expect(is_fleet_name(manifest.fleet), "fleet", NAME_RULE, manifest.fleet)
    known = manifest.version == "" or is_version(manifest.version)
    _expect(known, "version", "1 to 64 hexadecimal digits", manifest.version)
    _expect(1 <= len(manifest.layers) <= MAX_LAYERS, "layers", f"1 to {MAX_LAYERS}", len(manifest.layers))
    _check_layers(manifest)
    _expect(1 <= manifest.input_size <= MAX_SIZE, "input_size", f"1 to {MAX_SIZE}", manifest.input_size)
    _expect(1 <= manifest.output_size <= MAX_SIZE, "output_size", f"1 to {MAX_SIZE}", manifest.output_size)
    if manifest.head == "none":
        width = manifest.layers[-1].units
        _expect(manifest.output_size == width, "output_size", f"{width}, the last layer's units", manifest.output_size)
    _check_decoder(manifest)
    _expect(0 <= manifest.warmup_steps <= MAX_STEPS, "warmup_steps", f"0 to {MAX_STEPS}", manifest.warmup_steps)
    _expect(0 <= manifest.look_back <= MAX_STEPS, "look_back", f"0 to {MAX_STEPS}", manifest.look_back)
    _expect(_positive(manifest.period_s), "period_s", "a positive number", manifest.period_s)
    names = [name for name, _ in manifest.features]
    _expect(len(set(names)) == len(names) > 0, "features", "distinct names, at least one", names)
    _check_recipe(manifest.recipe, len(names))
    _check_detection(manifest)


def _check_layers(manifest: Manifest) -> None:
    for layer in manifest.layers:
        _expect(1 <= layer.units <= MAX_UNITS, "layers.units", f"1 to {MAX_UNITS}", layer.units)
    cells = [layer.cell for layer in manifest.layers]
    _expect(any(STATE_PARTS[cell] for cell in cells), "layers", "at least one recurrent layer", cells)
    chain = (*manifest.layers, *manifest.decoder)
    for width, layer in zip([manifest.input_size, *(layer.units for layer in chain)], chain, strict=False):
        fits = layer.cell != "affine" or layer.units == width
        _expect(fits, "layers.units", f"{width} of an affine layer, as many as it is fed", layer.units)
    if manifest.engine == "numpy":
        for layer in chain:
            _expect(layer.cell == "lstm", "layers.cell", "'lstm' for the engine 'numpy'", layer.cell)
            for name in (layer.activation, layer.recurrent_activation):
                wanted = f"one of {', '.join(NUMPY_ACTIVATIONS)} for the engine 'numpy'"
                _expect(name in NUMPY_ACTIVATIONS, "layers.activation", wanted, name)


def _check_decoder(manifest: Manifest) -> None:
    for layer in manifest.decoder:
        _expect(1 <= layer.units <= MAX_UNITS, "decoder.units", f"1 to {MAX_UNITS}", layer.units)
        _expect(not layer.layer_norm, "decoder.layer_norm", "none", layer.layer_norm)
    _expect(len(manifest.decoder) <= MAX_LAYERS, "decoder", f"at most {MAX_LAYERS}", len(manifest.decoder))
    most = MAX_DECODE_STEPS if manifest.decoder else 1
    _expect(1 <= manifest.decode_steps <= most, "decode_steps", f"1 to {most}", manifest.decode_steps)
    _expect(manifest.head == "dense" or not manifest.decoder, "head", "'dense' after a decoder", manifest.head)


def _check_detection(manifest: Manifest) -> None:
    """An autoencoder gives as many steps of as many features as it is fed, stepped by the NumPy engine."""
    if manifest.detection is None:
        return
    if fault := fault_of(manifest.detection):
        name, expected, got = fault
        raise ModelError(f"manifest: detection.{name}: expected {expected}, got {got!r}")
    sizes, width = (manifest.input_size, manifest.output_size), len(manifest.features)
    _expect(sizes == (width, width), "input_size, output_size", f"{width} each, as many as features", sizes)
    _expect(bool(manifest.decoder), "decoder", "layers that rebuild the window", manifest.decoder)
    _expect(manifest.engine == "numpy", "engine", "'numpy' of an autoencoder", manifest.engine)
    _expect(manifest.recipe.kind == "standard", "recipe.kind", "'standard' of an autoencoder", manifest.recipe.kind)


def _check_recipe(recipe: Recipe, features: int) -> None:
    for name in ("half_life_steps", "clip_sigma", "target_clip", "move_clip"):
        value = getattr(recipe, name)
        _expect(_positive(value), f"recipe.{name}", "a positive number", value)
    _expect(0 <= recipe.floor < math.inf, "recipe.floor", "a number from 0", recipe.floor)
    fitted = features if recipe.kind in ("standard", "minmax") else 0
    for name, numbers in (("centre", recipe.centre), ("spread", recipe.spread)):
        wanted = f"{fitted} numbers for the kind {recipe.kind!r}"
        _expect(len(numbers) == fitted and all(map(math.isfinite, numbers)), f"recipe.{name}", wanted, numbers)
    _expect(all(number > 0 for number in recipe.spread), "recipe.spread", "positive numbers", recipe.spread)


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _check_format(raw: object) -> None:
    found = raw.get("format") if isinstance(raw, dict) else None
    _expect(type(found) is int and found == FORMAT, "format", f"{FORMAT}", found)


def _expect(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise ModelError(f"manifest: {name}: expected {expected}, got {got!r}")


def _unknown_keys(raw: Any, known: Any, path: str) -> list[str]:
    """Paths of the keys in `raw` that decoding dropped."""
    if isinstance(raw, dict):
        found = [f"{path}.{key}" for key in raw if key not in known]
        return found or [p for key in raw for p in _unknown_keys(raw[key], known[key], f"{path}.{key}")]
    if isinstance(raw, list):
        pairs = enumerate(zip(raw, known, strict=True))
        return [p for i, (one, other) in pairs for p in _unknown_keys(one, other, f"{path}[{i}]")]
    return []
