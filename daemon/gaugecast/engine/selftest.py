"""Asked once at start: do rows keep their bits in any company here, and what is `here`?

The promise that a restart repeats every forecast to the bit rests on both. The probes are drawn from a sine,
so that they are the same everywhere. `fingerprint` is the only place of the engine that looks at the machine.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import gaugecast
from gaugecast.engine import Engine, NumpyEngine
from gaugecast.engine.runtime import tensorflow_version
from gaugecast.errors import Defect
from gaugecast.model import Layer, Manifest, Model, Recipe
from gaugecast.records import Float32

ROWS = 43
_MAPS = Path("/proc/self/maps")
_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "_64", "")


def check_batch_independence(engines: Iterable[Engine] = ()) -> None:
    """Step the same rows together, alone, in reverse and in parts, on probes and on `engines` (some 5 ms each).

    Raises:
        Defect: Some row came out with other bits in other company; nothing here may be trusted to repeat.
    """
    for width in (ROWS, 257):
        _check_tanh(width)
    for engine in (*_probes(), *engines):
        check_engine(engine)


def fingerprint() -> str:
    """What bit equality depends on: versions of us, NumPy, TensorFlow and libc, the BLAS kernel, CPU features.

    Two processes with equal fingerprints compute equal bits from equal inputs; others agree within a tolerance.
    """
    features = np.show_config(mode="dicts")
    simd = features["SIMD Extensions"] if features else {}
    parts = [
        f"gaugecast {gaugecast.__version__}",
        f"numpy {np.__version__}",
        f"tensorflow {tensorflow_version()}",
        f"blas {_blas_kernel()}",
        f"cpu {platform.machine()} {' '.join((*simd.get('baseline', ()), *simd.get('found', ())))}",
        " ".join(part or "unknown" for part in platform.libc_ver()),
    ]
    return "; ".join(parts)


def computes_alike(one: str, other: str) -> bool:
    """Whether two fingerprints promise the same bits: all of them is equal but our own version, which changes none."""
    return _of_the_machine(one) == _of_the_machine(other)


def _of_the_machine(text: str) -> list[str]:
    return [part for part in text.split("; ") if not part.startswith("gaugecast ")]


def _check_tanh(size: int) -> None:
    """`tanh` must give an element the same bits wherever it stands."""
    z = _sine((size,), 1.0) * np.float32(9)
    whole = np.tanh(z)
    for start in range(0, size, 5):
        _demand_same(np.tanh(z[start:].copy()), whole[start:], "tanh depends on the position")


def check_engine(engine: Engine, *, rows: int = ROWS) -> None:
    """Step `rows` rows together, alone, in reverse and in parts.

    Raises:
        Defect: Some row came out with other bits in other company.
    """
    x = _sine((rows, engine.input_size), 0.7)
    state = engine.initial_state(rows) + _sine((rows, engine.state_size), 1.3)
    together = engine.step(x, state)
    shape = f"inputs {engine.input_size}, state {engine.state_size}"
    for row in range(rows):
        one = slice(row, row + 1)
        _demand_rows(engine.step(x[one], state[one]), together, one, f"row {row} alone, {shape}")
    backwards = slice(None, None, -1)
    _demand_rows(engine.step(x[backwards], state[backwards]), together, backwards, f"rows reversed, {shape}")
    for part in (slice(0, 9), slice(9, rows), slice(3, rows - 3)):
        _demand_rows(engine.step(x[part], state[part]), together, part, f"rows {part.start}-{part.stop}, {shape}")


def _demand_rows(got: tuple[Float32, Float32], whole: tuple[Float32, Float32], rows: slice, what: str) -> None:
    for part, expected in zip(got, whole, strict=True):
        _demand_same(part, expected[rows], what)


def _demand_same(got: Float32, expected: Float32, what: str) -> None:
    if got.tobytes() != expected.tobytes():
        raise Defect(f"self-test: expected the same bits in any batch, got others: {what}; {fingerprint()}")


def _probes() -> tuple[Engine, ...]:
    wide = _probe_model((Layer(64),), input_size=16, output_size=1)
    odd = _probe_model((Layer(7, layer_norm=True), Layer(5)), input_size=9, output_size=3)
    return NumpyEngine(wide), NumpyEngine(odd)


def _probe_model(layers: tuple[Layer, ...], *, input_size: int, output_size: int) -> Model:
    manifest = Manifest(
        fleet="selftest",
        features=(("probe", "forecast"),),
        period_s=1.0,
        rows="joint",
        recipe=Recipe(half_life_steps=1.0),
        layers=layers,
        input_size=input_size,
        output_size=output_size,
    )
    return Model(manifest, {name: _sine(shape, 0.3) for name, shape in manifest.weight_shapes().items()})


def _sine(shape: tuple[int, ...], stride: float) -> Float32:
    """Numbers within ±½ that look like noise and are the same on every run."""
    size = int(np.prod(shape))
    wave: Float32 = (0.5 * np.sin(stride * np.arange(size) ** 1.5)).astype(np.float32).reshape(shape)
    return wave


def _blas_kernel() -> str:
    """Name of the OpenBLAS kernel in force (`Haswell`, `SkylakeX`, …), asked of the loaded library itself."""
    for path in _loaded_blas():
        for symbol in (f"{p}_get_corename{s}" for p in _PREFIXES for s in _SUFFIXES):
            try:
                corename = getattr(ctypes.CDLL(path), symbol)
            except (OSError, AttributeError):
                continue
            corename.restype = ctypes.c_char_p
            return f"{Path(path).name} {corename().decode()}"
    return "unknown"


def _loaded_blas() -> list[str]:
    """Paths of the BLAS libraries mapped into this process, in a fixed order."""
    try:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    columns = (line.split(maxsplit=5) for line in lines)
    paths = {c[5] for c in columns if len(c) == 6}
    return sorted(path for path in paths if "blas" in Path(path).name)
