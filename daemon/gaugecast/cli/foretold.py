"""What is said beyond the next step, in words: anomalies, crossings and how honest intervals were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gaugecast.cli.figures import show_count, show_name, show_skill
from gaugecast.control import CrossingRow, StreamRow
from gaugecast.status import ExpertStatus, FleetStatus

#: Crossings that have room at the foot of a screen.
MOST_SHOWN = 4

#: What a detector finds, in words.
_WORDS = {
    "dropout": "does not come",
    "stuck": "stands still",
    "level": "is beyond its usual level",
    "relation": "does not go with the others",
    "surprise": "is not as forecast",
    "reference": "does not follow from the values before",
    "calm": "fluctuates less than usual",
    "autoencoder": "is not what the autoencoder makes of it",
}


def crossing_words(row: StreamRow, one: CrossingRow) -> str:
    """`crosses 8.2 bar in 14 min (11 … 22), P = 0.83`."""
    return show_name(one.words(row.unit))


def anomaly_words(row: StreamRow) -> str:
    """`pressure is beyond its usual level (share 0.82), temperature stands still (share 0.18)`."""
    one = row.anomaly
    if one is None:
        return ""
    named = ((name, _WORDS.get(one.detectors.get(name, ""), "is strange"), share) for name, share in one.shares.items())
    return ", ".join(f"{show_name(name)} {words} (share {share:.2f})" for name, words, share in list(named)[:3])


def foretold_lines(rows: Sequence[StreamRow]) -> Iterator[str]:
    """A line for each anomaly and each crossing that is told of now; of many the first few."""
    strange = list({(row.fleet, row.stream): row for row in rows if row.anomaly is not None}.values())
    for row in strange[:MOST_SHOWN]:
        yield f"{show_name(row.stream)} {anomaly_words(row)}"
    if len(strange) > MOST_SHOWN:
        yield f"and {len(strange) - MOST_SHOWN} anomalies more"
    told = [(row, one) for row in rows for one in row.crossings if one.open]
    for row, one in told[:MOST_SHOWN]:
        yield f"{show_name(row.stream)} {show_name(row.feature)} {crossing_words(row, one)}"
    if len(told) > MOST_SHOWN:
        yield f"and {len(told) - MOST_SHOWN} crossings more"


def coverage_lines(name: str, fleet: FleetStatus) -> Iterator[str]:
    """`tanks pressure: intervals of 80 % held 79.2 % (1s), 81.0 % (1m)`; a line a feature and level."""
    for feature, score in fleet.features.items():
        levels = dict.fromkeys(level for by_level in score.coverage.values() for level in by_level)
        for level in levels:
            shares = ", ".join(
                f"{by_level[level] * 100:.1f} % ({horizon})"
                for horizon, by_level in score.coverage.items()
                if level in by_level
            )
            yield f"{show_name(name)} {show_name(feature)}: intervals of {float(level) * 100:.0f} % held {shares}"


def expert_lines(name: str, fleet: FleetStatus) -> Iterator[str]:
    """`tanks pressure in 1m: stacked 61 % (skill 41 %), linear 22 % (skill 30 %), …`; a line a horizon."""
    for feature, score in fleet.features.items():
        for horizon, experts in score.experts.items():
            ordered = sorted(experts.items(), key=lambda one: -one[1].weight)
            shares = ", ".join(_expert(expert, one) for expert, one in ordered)
            yield f"{show_name(name)} {show_name(feature)} in {horizon}: {shares}"


def _expert(name: str, one: ExpertStatus) -> str:
    """Persistence has no skill over itself."""
    own = "" if one.skill is None or name == "persistence" else f" (skill {show_skill(one.skill)})"
    return f"{name} {one.weight * 100:.0f} %{own}"


def threshold_lines(name: str, fleet: FleetStatus) -> Iterator[str]:
    """`tanks pressure above 8.2 within 1h: foretold of 2 streams`; a line a threshold."""
    for one in fleet.crossings:
        mark = f"{show_name(one.feature)} {one.side} {one.value:g} within {one.within}"
        yield f"{show_name(name)} {mark}: foretold of {show_count(one.open, 'stream')}"
