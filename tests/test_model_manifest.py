"""The manifest: what it says survives its JSON, and what it must not say is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.errors import ModelError
from gaugecast.model import Layer, Manifest, Recipe
from gaugecast.model.manifest import MAX_MANIFEST_BYTES, decode_manifest, encode_manifest
from gaugecast.testing import random_model

MANIFEST = random_model(units=(5, 3), layer_norm=True).manifest

layers = st.builds(
    Layer,
    units=st.integers(1, 4096),
    activation=st.sampled_from(["tanh", "relu", "linear"]),
    recurrent_activation=st.sampled_from(["sigmoid", "hard_sigmoid"]),
    layer_norm=st.booleans(),
)
positive = st.floats(1e-6, 1e12)
recipes = st.builds(Recipe, half_life_steps=positive, floor=st.floats(0, 10), clip_sigma=positive, level=st.booleans())
provenance = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-(2**53), 2**53), st.floats(-1e300, 1e300)))
manifests = st.builds(
    Manifest,
    fleet=st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    features=st.lists(
        st.tuples(st.text(), st.sampled_from(["forecast", "input"])), min_size=1, unique_by=lambda f: f[0]
    ).map(tuple),
    period_s=positive,
    rows=st.sampled_from(["per_feature", "joint"]),
    recipe=recipes,
    layers=st.lists(layers, min_size=1, max_size=8).map(tuple),
    input_size=st.integers(1, 500),
    output_size=st.integers(1, 500),
    warmup_steps=st.integers(0, 100),
    provenance=provenance,
)


@given(manifests)
def test_a_manifest_survives_its_json(manifest: Manifest) -> None:
    """Written and read again it is the same, types included."""
    assert decode_manifest(encode_manifest(manifest)) == manifest


def test_weights_are_named_and_shaped_as_keras_orders_them() -> None:
    """The importer, the learner and the engine all lean on these names."""
    assert MANIFEST.weight_shapes() == {
        "lstm0/kernel": (MANIFEST.input_size, 20),
        "lstm0/recurrent": (5, 20),
        "lstm0/bias": (20,),
        "norm0/gamma": (5,),
        "norm0/beta": (5,),
        "lstm1/kernel": (5, 12),
        "lstm1/recurrent": (3, 12),
        "lstm1/bias": (12,),
        "norm1/gamma": (3,),
        "norm1/beta": (3,),
        "dense/kernel": (3, 1),
        "dense/bias": (1,),
    }


def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The manifest's JSON after an edit."""
    raw = json.loads(encode_manifest(MANIFEST))
    edit(raw)
    return json.dumps(raw).encode()


BAD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda m: m.update(run="rm"), r"unknown key \$\.run"),
    "unknown nested key": (lambda m: m["recipe"].update(tempo=1), r"unknown key \$\.recipe\.tempo"),
    "unknown layer key": (lambda m: m["layers"][1].update(x=1), r"unknown key \$\.layers\[1\]\.x"),
    "missing key": (lambda m: m.pop("fleet"), "missing required field `fleet`"),
    "way out of the folder": (lambda m: m.update(fleet="../../x"), "fleet: expected a name of 1 to 64 letters"),
    "folder above": (lambda m: m.update(fleet=".."), "fleet: expected a name of 1 to 64 letters"),
    "nobody's": (lambda m: m.update(fleet=""), "fleet: expected a name of 1 to 64 letters"),
    "version out of the folder": (lambda m: m.update(version="../x"), "version: expected 1 to 64 hexadecimal digits"),
    "other format": (lambda m: m.update(format=2, later=1), "format: expected 1, got 2"),
    "no format": (lambda m: m.pop("format"), "format: expected 1, got None"),
    "text for number": (lambda m: m.update(input_size="9"), r"Expected `int`, got `str` - at `\$\.input_size`"),
    "true for number": (lambda m: m.update(format=True), "format: expected 1, got True"),
    "unknown activation": (lambda m: m["layers"][0].update(activation="eval"), "Invalid enum value 'eval'"),
    "no layers": (lambda m: m.update(layers=[]), "layers: expected 1 to 8, got 0"),
    "huge layer": (lambda m: m["layers"][0].update(units=10**9), "layers.units: expected 1 to 4096"),
    "huge input": (lambda m: m.update(input_size=10**9), "input_size: expected"),
    "no output": (lambda m: m.update(output_size=0), "output_size: expected"),
    "headless size": (lambda m: m.update(head="none"), "output_size: expected 3, the last layer's units, got 1"),
    "no features": (lambda m: m.update(features=[]), "features: expected distinct names"),
    "same feature twice": (lambda m: m.update(features=[["a", "input"]] * 2), "features: expected distinct names"),
    "no period": (lambda m: m.update(period_s=0), "period_s: expected a positive number"),
    "no half-life": (lambda m: m["recipe"].update(half_life_steps=-1.0), "half_life_steps: expected a positive number"),
    "negative floor": (lambda m: m["recipe"].update(floor=-0.1), "floor: expected a number from 0"),
    "negative look-back": (lambda m: m.update(look_back=-1), "look_back: expected"),
    "negative warm-up": (lambda m: m.update(warmup_steps=-1), "warmup_steps: expected"),
    "nested provenance": (lambda m: m.update(provenance={"a": [1]}), "provenance"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_manifest_is_refused_by_the_name_of_what_is_wrong(case: str) -> None:
    """The message names the field, what was expected and what came."""
    edit, message = BAD[case]
    with pytest.raises(ModelError, match=message):
        decode_manifest(edited(edit))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": NaN}', b"[" * 100_000])
def test_what_is_no_manifest_at_all_is_refused(text: bytes) -> None:
    """Broken, deep or foreign JSON is a ModelError and nothing else."""
    with pytest.raises(ModelError, match="manifest: "):
        decode_manifest(text)


def test_an_oversized_manifest_is_refused_before_it_is_parsed() -> None:
    """A bound on the bytes bounds the memory."""
    with pytest.raises(ModelError, match="expected at most"):
        decode_manifest(b" " * (MAX_MANIFEST_BYTES + 1))


def test_a_period_that_is_not_finite_is_refused_where_no_json_could_say_it() -> None:
    """Manifests made in code meet the same bounds."""
    with pytest.raises(ModelError, match="period_s"):
        random_model(period_s=float("nan"))
    assert replace(MANIFEST, period_s=2.0).period_s == 2.0
