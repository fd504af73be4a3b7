"""How far learning is, in words."""

from __future__ import annotations

import pytest

from gaugecast.lessons import LearnerStatus, Shadow, tell

TRIAL = Shadow(version="a", steps=120, promote_after=300, skill=0.89, wanted_skill=0.02, eta_s=62.0)


@pytest.mark.parametrize(
    ("learner", "expected"),
    [
        (LearnerStatus(doing="starting"), "the learner starts"),
        (LearnerStatus(doing="compiling"), "the learner compiles, which takes seconds to minutes"),
        (LearnerStatus(updates_wanted=100, eta_s=1560.0), "first lessons: 0 of 100 updates, about 26 min"),
        (
            LearnerStatus(updates_total=140, updates_wanted=100, steps_left=0, eta_s=0.0),
            "first lessons: 100 of 100 updates, about 1 s",
        ),
        (LearnerStatus(updates_total=40, updates_wanted=100), "first lessons: 40 of 100 updates"),
        (LearnerStatus(spared="a look-back of 3 steps"), "not learned: a look-back of 3 steps"),
        (LearnerStatus(updates_total=200), ""),
        (None, ""),
    ],
)
def test_before_a_trial_it_is_what_the_learner_does(learner: LearnerStatus | None, expected: str) -> None:
    """From its start to the first weights that are tried."""
    assert tell(None, None, learner) == expected


@pytest.mark.parametrize(
    ("shadow", "expected"),
    [
        (TRIAL, "shadow, 89 % better than the last value: 120 of 300 steps, about 1 min"),
        (Shadow(version="a", promote_after=30, eta_s=9000.0), "shadow: 0 of 30 steps, about 2 h"),
        (
            Shadow(version="a", steps=10, promote_after=30, skill=-0.3),
            "shadow, 30 % worse than the last value: 10 of 30 steps",
        ),
        (
            Shadow(version="a", steps=400, promote_after=300, skill=0.01, wanted_skill=0.02),
            "shadow, 1 % better than the last value after 400 steps: 2 % are needed to replace the last value",
        ),
    ],
)  # fmt: skip
def test_on_trial_it_says_how_good_it_is_and_how_long_it_takes(shadow: Shadow, expected: str) -> None:
    """Skill in words, since another skill stands on the same screen; no time where it will not be by itself."""
    assert tell(None, shadow, LearnerStatus(updates_total=200)) == expected


def test_weights_in_force_are_no_lesson() -> None:
    """The screens show them elsewhere."""
    assert tell("in-force", None, LearnerStatus(updates_total=1, updates_wanted=None)) == ""
