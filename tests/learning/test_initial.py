"""A cold start: the first weights, their manifest, and what it costs to import the learner."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.fleet import Feature, Fleet, Rows
from gaugecast.learn import initial_model, manifest_for

FEATURES = (Feature("pressure"), Feature("valve", role="input"), Feature("temperature"))


def fleet_of(rows: Rows = "per_feature") -> Fleet:
    """Tanks with two forecast features and a set-point, every second."""
    return Fleet("tanks", ("plant/{tank}",), "{tank}", FEATURES, 10**9, rows=rows)


@pytest.mark.parametrize(("rows", "outputs"), [("per_feature", 1), ("joint", 2)])
def test_manifest_fits_the_fleet(rows: Rows, outputs: int) -> None:
    """Names, roles, period and sizes are the fleet's."""
    manifest = manifest_for(fleet_of(rows), units=(8, 4))
    assert manifest.features == (("pressure", "forecast"), ("valve", "input"), ("temperature", "forecast"))
    assert (manifest.rows, manifest.period_s, manifest.output_size) == (rows, 1.0, outputs)
    assert [layer.units for layer in manifest.layers] == [8, 4]


def test_a_new_model_forecasts_persistence() -> None:
    """Its output is next to nothing, whatever it is fed: the move is less than a hundredth of a scale."""
    model = initial_model(manifest_for(fleet_of()), seed=1)
    engine = NumpyEngine(model)
    x = np.random.default_rng(0).normal(size=(50, 40, engine.input_size)).astype(np.float32) * 3
    y, _ = engine.sequence(x, engine.initial_state(40))
    assert np.abs(y).max() < 0.01
    assert np.abs(y).max() > 0.0


def test_a_seed_means_the_same_weights() -> None:
    """One seed, one version; another seed, another."""
    manifest = manifest_for(fleet_of())
    versions = [initial_model(manifest, seed=seed).manifest.version for seed in (3, 3, 4)]
    assert versions[0] == versions[1] != versions[2]


def test_weights_begin_as_keras_begins_them() -> None:
    """Recurrent rows are orthonormal, kernels within Glorot's bound, the forget gate's bias is one."""
    weights = initial_model(manifest_for(fleet_of(), units=(16,)), seed=0).weights
    recurrent, kernel = weights["lstm0/recurrent"], weights["lstm0/kernel"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(16), atol=1e-5)
    bound = np.sqrt(6 / sum(kernel.shape))
    assert 0.9 * bound < np.abs(kernel).max() <= bound
    np.testing.assert_array_equal(weights["lstm0/bias"].reshape(4, 16)[:, 0], [0, 1, 0, 0])


def test_importing_the_learner_does_not_import_tensorflow() -> None:
    """Only training does: the command line and the tests of the loop stay quick."""
    code = "import sys, gaugecast.learn; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
