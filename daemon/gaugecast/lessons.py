"""What the daemon says of its learning: a part of its status, and the words in which every screen says it."""

from __future__ import annotations

import msgspec

#: Who learns: the closed set that labels `gaugecast_learning`.
LEARNING_MODES = ("child", "unit", "off", "impossible")


def skill_means(half_life: float) -> str:
    """What the word says on every screen, and over which window."""
    return f"0 % = no better than the last value; half-life {half_life:,.0f} steps"


class LearningStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything is learned here.

    Attributes:
        mode: `child` of the daemon, a `unit` of its own, `off`, or `impossible`.
        why: Why nothing is learned, or what is missing.
        heard: Whether a learner has spoken to this process.
    """

    mode: str = "off"
    why: str = ""
    heard: bool = False

    def __str__(self) -> str:
        """As every screen says it, after the word `learning`."""
        if self.mode == "off":
            return f"off ({self.why})" if self.why else "off"
        if self.mode == "impossible":
            return f"not possible: {self.why}"
        return f"on, by a {self.mode}" + (f": {self.why}" if self.why else "")


class LearnerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner last told of one fleet; totals are of its process.

    Attributes:
        doing: What it spends longer on than a report may take: `starting`, `compiling`; empty = it learns.
        updates_wanted: After so many a first model goes into shadow; null = it has gone there.
        steps_left: Steps of all streams together until then, about.
        eta_s: Seconds until then, at the pace of the fleet's period, about.
        handovers_total: Weights handed over, into shadow or in force.
        drift_total: Drifts that its detector has declared.
        rate: Learning rate in use.
        lag_s: How far behind the newest reading it is.
        spared: What in the model in force keeps it from being learned; empty = it is.
    """

    doing: str = ""
    updates_total: int = 0
    updates_wanted: int | None = None
    steps_left: int | None = None
    eta_s: float | None = None
    failures_total: int = 0
    drift_total: int = 0
    handovers_total: int = 0
    rate: float | None = None
    lag_s: float | None = None
    spared: str = ""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """A model on trial.

    Attributes:
        steps: Scored so far, over all streams; 0 before the first.
        promote_after: Those after which it is put in force, if it goes on gaining as it does.
        skill: Over the last value, over those steps; null before the first.
        wanted_skill: With less it is not put in force, however long it runs.
        eta_s: Seconds until it is, at the pace of the fleet's period, about; null = not as things stand.
    """

    version: str
    steps: int = 0
    promote_after: int = 0
    skill: float | None = None
    wanted_skill: float = 0.0
    eta_s: float | None = None


def tell(model: str | None, shadow: Shadow | None, learner: LearnerStatus | None) -> str:
    """How far a fleet's learning is: from the first reading to weights in force."""
    if shadow is not None:
        return _tell_trial(shadow, rival="the last value" if model is None else "what is in force")
    if learner is None or model is not None:
        return ""
    if learner.spared:
        return f"not learned: {learner.spared}"
    if learner.doing:
        return _DOING.get(learner.doing, learner.doing)
    if learner.updates_wanted is None:
        return ""
    done = min(learner.updates_total, learner.updates_wanted)
    return f"first lessons: {done:,} of {learner.updates_wanted:,} updates{_about(learner.eta_s)}"


_DOING = {"starting": "the learner starts", "compiling": "the learner compiles, which takes seconds to minutes"}


def _tell_trial(shadow: Shadow, *, rival: str) -> str:
    if shadow.skill is None:
        return f"shadow: 0 of {shadow.promote_after:,} steps{_about(shadow.eta_s)}"
    than = "better" if shadow.skill >= 0 else "worse"
    told = f"shadow, {abs(shadow.skill):.0%} {than} than the last value".replace("%", " %")
    if shadow.eta_s is not None:
        return f"{told}: {shadow.steps:,} of {shadow.promote_after:,} steps{_about(shadow.eta_s)}"
    if shadow.steps < shadow.promote_after:
        return f"{told}: {shadow.steps:,} of {shadow.promote_after:,} steps"
    wanted = f"{shadow.wanted_skill:.0%}".replace("%", " %")
    return f"{told} after {shadow.steps:,} steps: {wanted} are needed to replace {rival}"


def _about(seconds: float | None) -> str:
    """`, about 3 min`; empty where it is not known."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f", about {seconds / size:.0f} {unit}"
    return f", about {max(1, round(seconds))} s"
