"""What is said of a training: its worth first, then its curves, and never that all is fine where it is not."""

from __future__ import annotations

import re

import pytest

from gaugecast.learn.fit.fitting import Epoch, Fit
from gaugecast.learn.train.verdict import verdict
from gaugecast.testing import random_model


def fit_of(train: list[float], validation: list[float] | None = None, **ended: object) -> Fit:
    """A fit with these curves; kept is the best epoch."""
    held_out: list[float | None] = [None] * len(train) if validation is None else [*validation]
    epochs = [Epoch(i, a, b, 0.001) for i, (a, b) in enumerate(zip(train, held_out, strict=True), 1)]
    best = min(epochs, key=lambda epoch: epoch.judged).number
    return Fit(random_model(), epochs, best, **ended)  # type: ignore[arg-type]


SETTLED = [1.0, 0.9, 0.886, 0.8851, 0.885, 0.885]


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (-17.58, r"^Worse than repeating the last value: skill −1,758\.0% .* not to be served"),
        (0.02, r"^Hardly better .* skill \+2\.0%"),
        (0.945, r"^Better than repeating the last value: skill \+94\.5% on the validation part"),
        (None, r"^Nothing moved in the validation part"),
    ],
)
def test_a_training_is_judged_by_its_skill_first(skill: float | None, words: str) -> None:
    """However well its curve has settled."""
    text = verdict(fit_of(SETTLED, SETTLED, gained=0.0), skill, "validation")
    assert re.search(words, text), text
    assert "Fine" not in text


def test_a_curve_that_the_falling_rate_brought_to_rest_has_not_settled() -> None:
    """What more epochs at a constant rate gain decides, in both directions."""
    assert "More epochs would help: a few at a constant rate took another 20%" in verdict(
        fit_of(SETTLED, SETTLED, gained=0.2), 0.3, "validation"
    )
    falling = [1.0, 0.5, 0.25, 0.12, 0.06, 0.03]
    assert "has settled: a few more epochs" in verdict(fit_of(falling, falling, gained=-0.1), 0.9, "validation")


def test_three_epochs_far_from_the_validation_part_are_not_fine() -> None:
    """The ratio is said, and that it is early."""
    text = verdict(fit_of([0.3, 0.2, 0.1], [2.0, 1.5, 1.266]), 0.2, "validation")
    assert "12.66 times the training error" in text
    assert "3 epochs are too few" in text
    assert "1 epoch is too few" in verdict(fit_of([1.0], [1.0]), 0.1, "validation")


def test_overfitting_is_told_with_what_helps() -> None:
    """Validation rises while training falls."""
    text = verdict(fit_of([1, 0.8, 0.6, 0.4, 0.2], [1, 0.9, 0.8, 0.9, 1.0]), 0.2, "validation")
    assert "Overfits: the validation error ends 25% above its best" in text
    assert "kept are those of epoch 3 of 5" in text


def test_how_it_ended_is_told() -> None:
    """Stopped early, or by hand."""
    assert "stopped early: 4 epochs brought nothing better" in verdict(
        fit_of(SETTLED, [0.9, 0.8, 0.81, 0.81, 0.81, 0.81], stopped_early=True), 0.1, "validation"
    )
    assert "ended by hand in epoch 7" in verdict(fit_of(SETTLED, SETTLED, interrupted=True), 0.1, "validation")


def test_without_a_validation_part_nobody_knows_whether_it_overfits() -> None:
    """And that is said."""
    assert "Nothing was held out" in verdict(fit_of(SETTLED), 0.1, "train")
