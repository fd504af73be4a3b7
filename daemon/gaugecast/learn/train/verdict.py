"""What a training came to, in words: its skill, what its curves say, what to do."""

from __future__ import annotations

from gaugecast.learn.fit.fitting import PROBED_FROM, Epoch, Fit

#: A validation error so much above its best one is overfitting, not noise.
RISEN = 1.05
#: An error that falls by such a share over the last quarter, or in some more epochs, wants more of them.
FALLING = 0.03
#: A validation error so many times the training error: what was learned does not carry over.
APART = 2.0
#: Skill below which a model is hardly worth its trouble.
LITTLE = 0.05


def verdict(fit: Fit, skill: float | None, part: str) -> str:
    """A few sentences: what the model is worth, how it learned, what would help.

    Args:
        fit: The curves.
        skill: Of the next step against repeating the last value, on `part`.
        part: `validation`, or `train` where nothing is held out.
    """
    kept = f"The weights kept are those of epoch {fit.best} of {len(fit.epochs)}."
    return " ".join([_worth(skill, part), *_ending(fit), *_course(fit), kept])


def _worth(skill: float | None, part: str) -> str:
    if skill is None or skill != skill:
        return f"Nothing moved in the {part} part, so there is no skill to judge by."
    told = f"skill {skill:+,.1%} on the {part} part".replace("-", "−")
    if skill < 0.0:
        return f"Worse than repeating the last value: {told}. It is not to be served as it is."
    if skill < LITTLE:
        return f"Hardly better than repeating the last value: {told}."
    return f"Better than repeating the last value: {told}."


def _ending(fit: Fit) -> list[str]:
    if fit.interrupted:
        return [f"It was ended by hand in epoch {len(fit.epochs) + 1}."]
    if fit.stopped_early:
        return [f"It was stopped early: {len(fit.epochs) - fit.best} epochs brought nothing better."]
    return []


def _course(fit: Fit) -> list[str]:
    """What the curves say."""
    epochs, best = fit.epochs, fit.epochs[fit.best - 1]
    if best.validation is None:
        return [*_more(fit, "training"), "Nothing was held out, so whether it overfits is not known."]
    if _overfits(fit):
        return [
            f"Overfits: the validation error ends {epochs[-1].judged / best.judged - 1:.0%} above its best while the "
            "training error goes on falling. More data, fewer units or some dropout would help."
        ]
    ratio = best.validation / best.train if best.train > 0.0 else 1.0
    if ratio > APART:
        apart = f"The validation error is {ratio:,.2f} times the training error"
        return [f"{apart}: what was learned does not carry over, or the parts are unlike.", *_more(fit, "validation")]
    if epochs[-1].judged > RISEN * best.judged and not fit.stopped_early:
        return ["Unsteady: the validation error wanders above its best; a lower learning rate would help."]
    return _more(fit, "validation")


def _more(fit: Fit, name: str) -> list[str]:
    """Whether more epochs would help."""
    if fit.stopped_early:
        return []
    if len(fit.epochs) < PROBED_FROM:
        run = "1 epoch is" if len(fit.epochs) == 1 else f"{len(fit.epochs)} epochs are"
        return [f"{run} too few to say whether more would help: give it more."]
    if fit.gained is not None:
        if fit.gained > FALLING:
            return [f"More epochs would help: a few at a constant rate took another {fit.gained:.0%} off the error."]
        return [f"The {name} error has settled: a few more epochs at a constant rate gained nothing."]
    return _falling([epoch.judged for epoch in fit.epochs], name)


def _falling(errors: list[float], name: str) -> list[str]:
    if errors[-1] < (1.0 - FALLING) * errors[-max(len(errors) // 4, 2)]:
        return [f"The {name} error was still falling when the epochs were over: give it more."]
    return [f"The {name} error has settled."]


def _overfits(fit: Fit) -> bool:
    last, best = fit.epochs[-1], fit.epochs[fit.best - 1]
    return last.judged > RISEN * best.judged and last.train < best.train


def judged_part(epochs: list[Epoch]) -> str:
    """The part that decides which weights are kept."""
    return "validation" if epochs and epochs[0].validation is not None else "train"
