"""How long a model on trial must go on gaining before it is put in force."""

from __future__ import annotations

import numpy as np

from gaugecast.config.schema import Learning
from gaugecast.loop.trial import hold_trial

LEARNING = Learning(promote_after=300, promote_skill=0.02)


def wanted(skill: float, rival: float = 0.0) -> int:
    """Steps that are asked of a model that gains so much."""
    return hold_trial(LEARNING, steps=0, skill=skill, rival=rival).wanted_steps


def test_the_more_it_gains_the_shorter_is_its_trial() -> None:
    """A tenth of the steps is the least; nothing but `promote_after` is asked of what hardly gains."""
    assert [wanted(0.02), wanted(0.0), wanted(-3.0)] == [300, 300, 300]
    assert wanted(0.9) == 30
    asked = [wanted(skill) for skill in np.linspace(0.02, 0.9, 30)]
    assert asked == sorted(asked, reverse=True)


def test_it_has_to_beat_what_is_in_force() -> None:
    """Where that gains too; one that loses is no bar."""
    assert wanted(0.5, rival=0.5) == 300
    assert wanted(0.5, rival=-2.0) == wanted(0.5)


def test_few_steps_are_never_enough() -> None:
    """Where `promote_after` is small, it is what counts."""
    few = Learning(promote_after=50)
    assert hold_trial(few, steps=0, skill=0.99, rival=0.0).wanted_steps == 20
    assert hold_trial(Learning(promote_after=5), steps=5, skill=0.99, rival=0.0).passed


def test_chance_does_not_pass() -> None:
    """Models that forecast noise of any size: hardly one in a hundred passes at one look."""
    random = np.random.default_rng(0)
    for share in (0.05, 0.2, 0.5, 1.0):
        passed = 0
        for _ in range(1000):
            moves = random.standard_normal(30)
            error = moves - np.sqrt(share) * random.standard_normal(30)
            skill = 1 - (error @ error) / (moves @ moves)
            passed += hold_trial(LEARNING, steps=30, skill=float(skill), rival=0.0).passed
        assert passed <= 15
