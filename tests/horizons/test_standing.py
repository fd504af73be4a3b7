"""How the experts stand: shares of what is published, and each one's own skill."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons.experts import HorizonExperts
from horizons.drive import HOUR_NS, drive


def test_a_skill_is_that_of_the_expert_alone() -> None:
    """A network that halves the error of the last value has a skill of three quarters, whatever is published."""
    experts = HorizonExperts(HOUR_NS, 1, (1,), levels=(), seasons=False)
    walk = np.random.default_rng(3).normal(size=(400, 2, 1)).cumsum(axis=0)
    ahead = np.concatenate([walk[1:], walk[-1:]])
    drive(experts, walk, network=(walk + (ahead - walk) / 2)[:, :, None])
    (found,) = experts.standing(np.arange(2))
    assert found.skills[:, 0] == pytest.approx([0.0, found.skills[1, 0], found.skills[2, 0], 0.75], abs=0.01)
    assert found.shares.sum(axis=0) == pytest.approx(1.0)


def test_nobody_and_newcomers_have_no_standing() -> None:
    """Until errors enough have come due."""
    experts = HorizonExperts(HOUR_NS, 1, (1, 6), levels=())
    assert np.isnan(experts.standing(np.array([], np.int64))[0].shares).all()
    drive(experts, np.ones((10, 1, 1)))
    (found,) = experts.standing(np.array([0]))
    assert np.isnan(found.shares).all()
    drive(experts, np.ones((60, 1, 1)), first=10)
    (found,) = experts.standing(np.array([0]))
    assert found.shares[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0], "the last value is published"
    assert np.isnan(found.skills[:, 0]).all(), "and nobody can be better: nothing moves"
