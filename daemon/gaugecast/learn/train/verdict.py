"""What the loss curves say, in words."""

from __future__ import annotations

from gaugecast.learn.fit.fitting import Epoch, Fit

#: A validation error so much above its best one is overfitting, not noise.
RISEN = 1.05
#: An error that still falls by such a share over the last quarter wants more epochs.
FALLING = 0.03


def verdict(fit: Fit) -> str:
    """One sentence or two: overfits, underfits, fine, and what to do."""
    epochs = fit.epochs
    if len(epochs) < 3:
        return f"Too few epochs ({len(epochs)}) to say how it learns."
    kept = f"The weights kept are those of epoch {fit.best}."
    judged = [epoch.judged for epoch in epochs]
    last_quarter = judged[-max(len(judged) // 4, 2)]
    if epochs[-1].validation is None:
        if judged[-1] < (1.0 - FALLING) * last_quarter:
            return f"Still learning when the epochs were over: give it more. Nothing was held out to judge by. {kept}"
        return f"The training error has settled; nothing was held out, so whether it overfits is not known. {kept}"
    best = judged[fit.best - 1]
    if judged[-1] > RISEN * best and _train_fell(epochs, fit.best):
        return (
            f"Overfits: the validation error is {judged[-1] / best - 1:.0%} above its best while the training error "
            f"goes on falling. {kept} More data, fewer units or some dropout would help."
        )
    if not fit.stopped_early and judged[-1] < (1.0 - FALLING) * last_quarter:
        return f"Underfits: the validation error was still falling when the epochs were over; give it more. {kept}"
    if judged[-1] > RISEN * best:
        return f"Unsteady: the validation error wanders above its best; a lower learning rate would help. {kept}"
    return f"Fine: the validation error has settled, {_gap(epochs[fit.best - 1])}. {kept}"


def _train_fell(epochs: list[Epoch], best: int) -> bool:
    return epochs[-1].train < epochs[best - 1].train


def _gap(epoch: Epoch) -> str:
    if epoch.validation is None or epoch.train <= 0.0:
        return "with no training error to compare it with"
    return f"{epoch.validation / epoch.train:.2f} times the training error"
