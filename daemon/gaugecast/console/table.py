"""All streams as rows to search and sort, made of the columns that the daemon gives; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gaugecast.console.asked import SortKey, StreamsParams
from gaugecast.console.shapes import Cell
from gaugecast.control.answers import CrossingRow, FeatureColumns, FleetColumns, MarkColumns, TableAnswer
from gaugecast.forecast.message import QUALITY
from gaugecast.known import known
from gaugecast.status import Status

#: What each flag means, for people.
WORDS: Mapping[str, str] = {
    "warming": "getting to know it",
    "bridged": "over a short gap",
    "partial": "a value was missing",
    "fallback": "last value repeated",
    "stale": "silent",
    "unchanged": "unchanged",
}


def quality_words(flags: Sequence[str]) -> str:
    """`sure`, or what is to be known, in words."""
    return ", ".join(WORDS.get(flag, flag) for flag in flags) or "sure"


def cells_of(parts: Sequence[TableAnswer], status: Status | None) -> list[Cell]:
    """A row for each feature of each stream."""
    return [cell for part in parts for fleet in part.fleets for cell in _fleet_cells(fleet, status)]


def _fleet_cells(fleet: FleetColumns, status: Status | None) -> Iterator[Cell]:
    known = status.fleets.get(fleet.fleet) if status is not None else None
    flags = [[flag for i, flag in enumerate(QUALITY) if bits >> i & 1] for bits in range(1 << len(QUALITY))]
    for place, feature in enumerate(fleet.features):
        score = known.features.get(feature.feature) if known is not None else None
        usual = score.absolute_error if score is not None else None
        marks = [mark for mark in fleet.marks if mark.place == place]
        for n, stream in enumerate(fleet.streams):
            yield _cell(fleet, feature, n, stream, flags[fleet.quality[n]], usual, marks)


def _cell(
    fleet: FleetColumns, feature: FeatureColumns, n: int, stream: str, flags: list[str], usual: float | None,
    marks: Sequence[MarkColumns],
) -> Cell:  # fmt: skip
    observed, predicted = feature.observed[n], feature.predicted[n]
    residual = None if observed is None or predicted is None else observed - predicted
    crossing = _likeliest(marks, n)
    told = crossing if crossing is not None and (crossing.open or crossing.crossed) else None
    return Cell(
        fleet=fleet.fleet, stream=stream, feature=feature.feature, unit=feature.unit, step=fleet.step[n],
        at_s=fleet.at_s[n], observed=observed, predicted=predicted, residual=residual, forecast=feature.forecast[n],
        skill=feature.skill[n], surprise=abs(residual) / usual if residual is not None and usual else None,
        quality=flags, words=quality_words(flags), crossing=crossing,
        crossing_words="" if told is None else told.words(feature.unit),
    )  # fmt: skip


def _likeliest(marks: Sequence[MarkColumns], n: int) -> CrossingRow | None:
    rows = [
        CrossingRow(
            side=mark.side, value=mark.value, within=mark.within, open=mark.open[n], crossed=mark.crossed[n],
            probability=mark.probability[n], early_s=mark.early_s[n], median_s=mark.median_s[n], late_s=mark.late_s[n],
        )
        for mark in marks
    ]  # fmt: skip
    return max(rows, key=lambda row: (row.open, row.probability or 0.0), default=None)


# -- to search and to sort


def chosen(cells: Sequence[Cell], wanted: StreamsParams) -> list[Cell]:
    """Those that are asked for, all of them, in order."""
    words = wanted.search.casefold().split()
    found = [
        cell
        for cell in cells
        if wanted.fleet in (None, "", cell.fleet)
        and (not wanted.quality or wanted.quality in cell.quality or (wanted.quality == "sure" and not cell.quality))
        and (not words or _has(cell, words))
    ]
    key = _KEYS[wanted.sort]
    known = [cell for cell in found if key(cell) is not None]
    unknown = [cell for cell in found if key(cell) is None]  # last, whichever way round
    known.sort(key=_name)
    known.sort(key=key, reverse=wanted.descending)
    return known + unknown


def _has(cell: Cell, words: Sequence[str]) -> bool:
    text = f"{cell.fleet} {cell.stream} {cell.feature}".casefold()
    return all(word in text for word in words)


def _name(cell: Cell) -> tuple[str, str]:
    return cell.fleet, cell.stream


def _soonest(cell: Cell) -> float | None:
    one = cell.crossing
    if one is None or not (one.open or one.crossed):
        return None
    return 0.0 if one.crossed else one.median_s


_KEYS: Mapping[SortKey, Callable[[Cell], Any]] = {
    "stream": lambda cell: cell.stream,
    "fleet": lambda cell: cell.fleet,
    "feature": lambda cell: cell.feature,
    "at": lambda cell: cell.at_s,
    "observed": lambda cell: known(cell.observed),
    "residual": lambda cell: None if cell.residual is None else abs(cell.residual),
    "surprise": lambda cell: known(cell.surprise),
    "skill": lambda cell: known(cell.skill),
    "quality": lambda cell: cell.words,
    "crossing": _soonest,
}


def crossings(cells: Sequence[Cell]) -> list[Cell]:
    """Those of which a crossing is told, the soonest first."""
    found = [cell for cell in cells if _soonest(cell) is not None]
    return sorted(found, key=lambda cell: (_soonest(cell) or 0.0, _name(cell)))


def surprises(cells: Sequence[Cell]) -> list[Cell]:
    """The greatest first."""
    found = [cell for cell in cells if cell.surprise is not None]
    return sorted(found, key=lambda cell: -(cell.surprise or 0.0))


def count_quality(cells: Sequence[Cell]) -> dict[str, int]:
    """How many rows have each flag, and how many none."""
    return dict(Counter(flag for cell in cells for flag in (cell.quality or ["sure"])))
