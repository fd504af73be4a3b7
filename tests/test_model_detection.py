"""Manifests of autoencoders: their bounds, which fleets they fit, and what versions before read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anomaly.rebuilding import (
    FLEET,
    autoencoder_for,
)
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model import Detection, Model
from gaugecast.model.manifest import check_manifest, decode_manifest, encode_manifest
from gaugecast.pipeline.fits import check_fits, check_meaning
from gaugecast.testing import fleet_of, model_for
from gaugecast.watching import AnomalySettings


def refusal(model: Model, fleet: Fleet = FLEET) -> str:
    """Why an autoencoder cannot look at a fleet."""
    with pytest.raises(ModelError) as found:
        check_meaning(model, fleet, detects=True)
    return str(found.value)


def test_what_does_not_fit_is_refused_with_what_was_expected() -> None:
    """Another period, a feature that is not there, a fleet that looks for no anomalies; and each for the other."""
    check_meaning(autoencoder_for(), FLEET, detects=True)
    assert "period_s 2.0 expected" in refusal(autoencoder_for(), replace(FLEET, period_ns=2_000_000_000))
    assert "got 'q'" in refusal(autoencoder_for(), fleet_of("p", anomaly=AnomalySettings()))
    assert "[fleet.tanks.anomaly]" in refusal(autoencoder_for(), replace(FLEET, anomaly=None))
    assert "got a forecaster" in refusal(model_for(FLEET))
    with pytest.raises(ModelError, match="got an autoencoder"):
        check_fits(autoencoder_for(), FLEET)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (Detection(0.0), r"detection\.threshold: expected a positive number"),
        (Detection(1.0, hold=0), r"detection\.hold: expected 1 to"),
        (Detection(1.0, stride=0), r"detection\.stride: expected 1 to"),
    ],
)
def test_bounds_of_a_detection_are_held(wrong: Detection, complaint: str) -> None:
    """Before any weights are looked at."""
    with pytest.raises(ModelError, match=complaint):
        check_manifest(replace(autoencoder_for().manifest, detection=wrong))


def test_layers_that_the_engine_lacks_are_named() -> None:
    """A manifest that somebody wrote by hand."""
    manifest = autoencoder_for().manifest
    text = encode_manifest(manifest).replace(b'"cell": "lstm"', b'"cell": "gru"', 1)
    with pytest.raises(ModelError, match=r"layers\.cell: expected 'lstm' for the engine 'numpy', got 'gru'"):
        decode_manifest(text)
    with pytest.raises(ModelError, match="decoder: expected layers that rebuild the window"):
        decode_manifest(encode_manifest(replace(manifest, decoder=(), decode_steps=1)))


def test_manifests_of_forecasters_are_written_as_versions_before_read_them() -> None:
    """They refuse keys that they do not know; and no version of today changes its name."""
    assert b"detection" not in encode_manifest(model_for(FLEET).manifest)
    detects = autoencoder_for().manifest
    assert decode_manifest(encode_manifest(detects)) == detects
