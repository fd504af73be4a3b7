"""Recursive least squares shared by horizons, held against least squares solved at once."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons import direct
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.records import Float64, Int64
from horizons.drive import HOUR_NS

LAYOUT = HorizonLayout.of([1], HOUR_NS, seasons=False)


def learned(regressors: Float64, targets: Float64) -> tuple[Float64, Float64]:
    """Coefficients (D, 1, 1) and inverse Hessian after these pairs, one a step."""
    size = LAYOUT.size
    theta, p = np.zeros((size, 1, 1)), (direct.START * np.eye(size))[None].copy()
    for t, (phi, target) in enumerate(zip(regressors, targets, strict=True)):
        tick: Int64 = np.array([t + 1])
        due = np.ones((1, 1), bool)
        direct.learn(theta, p, phi[:, None, None], np.array([[target]]), due, tick=tick, root=LAYOUT.root)
    return theta, p


def solved(regressors: Float64, targets: Float64) -> Float64:
    """The same at once: least squares with forgetting and the same start."""
    weights = direct.FORGETTING ** np.arange(len(targets) - 1, -1, -1)
    prior = direct.FORGETTING ** len(targets) / direct.START * np.eye(regressors.shape[1])
    hessian = (regressors * weights[:, None]).T @ regressors + prior
    solution: Float64 = np.linalg.solve(hessian, regressors.T @ (weights * targets)).astype(np.float64)
    return solution


def pairs(steps: int = 400) -> tuple[Float64, Float64]:
    """Regressors with a last column that is correlated with the others, and targets that rest on all."""
    rng = np.random.default_rng(3)
    phi = rng.normal(size=(steps, LAYOUT.size))
    phi[:, -1] += 0.8 * phi[:, 0]
    target = phi @ np.linspace(-0.4, 0.4, LAYOUT.size) + 0.3 * rng.normal(size=steps)
    return phi, target


def test_one_horizon_learns_what_least_squares_give_at_once() -> None:
    """Step by step and at once are the same coefficients."""
    phi, target = pairs()
    theta, _ = learned(phi, target)
    np.testing.assert_allclose(theta[:, 0, 0], solved(phi, target), rtol=1e-8, atol=1e-10)


def test_the_expert_without_the_network_never_saw_it() -> None:
    """Its coefficients follow from the others; they are those of least squares that never had the last column."""
    phi, target = pairs()
    theta, p = learned(phi, target)
    alone = direct.restrict(theta, p[:, :, -1].T[:, :, None], LAYOUT)
    np.testing.assert_allclose(alone[:-1, 0, 0], solved(phi[:, :-1], target), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(alone[-1, 0, 0], 0.0, atol=1e-12)


def test_a_row_whose_network_has_gone_learns_on_as_if_it_had_never_been() -> None:
    """Coefficients and inverse Hessian are then those of a row that never had one."""
    phi, target = pairs()
    without = phi * np.array([*np.ones(LAYOUT.size - 1), 0.0])
    theta, p = learned(phi, target)
    theta, p = direct.detach(theta, p[:, None], LAYOUT)
    never, p_never = learned(without, target)
    np.testing.assert_allclose(theta, never, atol=1e-9)
    np.testing.assert_allclose(p[:, 0, :-1, :-1], p_never[..., :-1, :-1], atol=1e-9)


def test_nothing_is_forgotten_while_nothing_moves() -> None:
    """A sensor that lies flat for long does not blow up its inverse Hessian."""
    theta, p = learned(np.eye(LAYOUT.size)[[-2] * 5000], np.zeros(5000))
    assert np.trace(p[0]) <= direct.START * LAYOUT.size
    assert (theta == 0.0).all()
