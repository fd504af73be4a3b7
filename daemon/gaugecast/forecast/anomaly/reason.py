"""Why something is an anomaly, in a sentence for who stands at the plant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gaugecast.records import Float64

_SHARE_DIGITS = 2


class Seen(NamedTuple):
    """A feature that has a share in an anomaly.

    Attributes:
        detector: What finds it strangest.
        observed: Its value, in its unit; `None` = not measured.
        expected: What that detector expects in its place; `None` = it expects no value.
        share: Of what is strange.
        still_s: For how long it has stood still, seconds.
    """

    name: str
    unit: str
    detector: str
    score: float
    share: float
    observed: float | None
    expected: float | None
    still_s: float = 0.0


class Blamed(NamedTuple):
    """A feature's place, that of the detector that finds it strangest, and its share."""

    feature: int
    detector: int
    share: float


def shares(blame: Sequence[float]) -> list[float]:
    """Shares in hundredths that add up to 1: the rest of the rounding goes to the largest remainders."""
    total = sum(blame)
    if total <= 0.0:
        return [0.0] * len(blame)
    whole = 10**_SHARE_DIGITS
    exact = [one / total * whole for one in blame]
    floors = [int(one) for one in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for i in by_rest[: whole - sum(floors)]:
        floors[i] += 1
    return [one / whole for one in floors]


def blamed(blame: Float64) -> list[Blamed]:
    """Who has a share in what is strange, the largest first; `blame` is (DETECTORS, F)."""
    parts = shares(blame.sum(axis=0).tolist())
    strangest = blame.argmax(axis=0).tolist()
    by_size = sorted(range(len(parts)), key=lambda f: (-parts[f], f))
    return [Blamed(f, strangest[f], parts[f]) for f in by_size if parts[f] > 0.0]


def sentence(seen: Sequence[Seen], names: Sequence[str], for_s: float) -> str:
    """`pressure 3.1 bar below its usual 5.2 bar for 4 min while flow is as usual (share 0.82)`.

    Args:
        seen: Features with a share, the largest first.
        names: Of all features that are judged.
        for_s: Since when the anomaly lasts, seconds.
    """
    if not seen:
        return "nobody looks any more"
    lead = seen[0]
    words = _clause(lead)
    if for_s > 0.0 and lead.detector != "stuck":
        words += f" for {span(for_s)}"
    usual = [name for name in names if all(name != one.name for one in seen)]
    if usual:
        words += f" while {_listed(usual)} {'is' if len(usual) == 1 else 'are'} as usual"
    return f"{words} (share {lead.share:.2f})"


def _clause(one: Seen) -> str:
    match one.detector:
        case "stuck":
            return f"{one.name} stands still at {_amount(one.observed or 0.0, one.unit)} for {span(one.still_s)}"
        case "dropout":
            return f"{one.name} does not come"
        case "calm":
            return f"{one.name} fluctuates less than usual"
    if one.observed is None or one.expected is None:
        return f"{one.name} is not as expected"
    size = one.observed - one.expected
    off = f"{one.name} {_amount(abs(size), one.unit)} {'above' if size >= 0.0 else 'below'}"
    expected = _amount(one.expected, one.unit)
    return {
        "level": f"{off} its usual {expected}",
        "relation": f"{off} the {expected} that goes with the other values",
        "surprise": f"{off} the forecast of {expected}",
        "autoencoder": f"{off} the {expected} that the autoencoder makes of the values",
    }.get(one.detector, f"{off} the {expected} expected after the values before")


def span(seconds: float) -> str:
    """`40 s`, `4 min`, `3 h`, `2 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.3g} s"


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip()


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"
