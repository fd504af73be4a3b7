"""Skill as it went: how much better than the last value a fleet was forecast, stretch by stretch, out of the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from gaugecast.console.asked import Name
from gaugecast.console.past import Past
from gaugecast.console.series import curve_of, gaps_before
from gaugecast.fleet import Fleet
from gaugecast.known import all_known
from gaugecast.records import Float64

#: Streams that are looked at, evenly among all of the fleet's, and readings of each; stretches of the curve.
MOST_STREAMS, MOST_READINGS, STRETCHES = 12, 2000, 48
#: An answer is given again for so long.
KEPT_S = 20.0


class SkillParams(msgspec.Struct, frozen=True, kw_only=True):
    """Of which fleet."""

    fleet: Name


class SkillView(msgspec.Struct, frozen=True, kw_only=True):
    """How much better than repeating the last value the next step was forecast: 1 is perfect, 0 no better.

    Attributes:
        at_s: Where each stretch ends, oldest first.
        skill: By feature, a value a stretch; null where nothing moved, or nothing was forecast.
        streams: So many were looked at, of the newest 2,000 readings each.
    """

    at_s: list[float]
    skill: dict[str, list[float | None]]
    streams: int


class _Errors(NamedTuple):
    """Of the forecast of each reading (n,): event time in s, and two squared errors, its own and the last value's."""

    at_s: Float64
    own: Float64
    last: Float64


class Skills:
    """Answers, each kept for a while; one is made at a time. Any thread."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, SkillView]] = {}

    def of(self, name: str) -> SkillView:
        """Of one fleet.

        Raises:
            WrongUse: There is none of that name.
        """
        fleet = self._past.fleet(name)
        with self._lock:
            made_at_s, view = self._kept.get(name, (float("-inf"), None))
            if view is None or time.monotonic() - made_at_s > KEPT_S:
                view = self._view(fleet)
                self._kept[name] = time.monotonic(), view
            return view

    def _view(self, fleet: Fleet) -> SkillView:
        names = self._past.streams(fleet.name)
        chosen = names[:: max(1, -(-len(names) // MOST_STREAMS))]
        found: dict[str, list[_Errors]] = {fleet.features[place].name: [] for place in fleet.forecast_places}
        for stream in chosen:
            readings, made, _ = self._past.history(fleet.name, stream, from_ns=None, to_ns=None, most=MOST_READINGS)
            for place in fleet.forecast_places:
                curve = curve_of(readings, made, fleet, place=place, horizon=0)
                last = np.concatenate([[np.nan], curve.observed[:-1]]) if len(curve.observed) else curve.observed
                last = np.where(gaps_before(curve.at_ns, fleet.period_ns), np.nan, last)
                errors = _Errors(
                    curve.at_ns / 1e9, (curve.observed - curve.expected) ** 2, (curve.observed - last) ** 2
                )
                found[fleet.features[place].name].append(errors)
        return view_of(found, len(chosen), reach_s=MOST_READINGS * fleet.period_ns / 1e9)


def view_of(found: Mapping[str, Sequence[_Errors]], streams: int, *, reach_s: float = np.inf) -> SkillView:
    """Over all streams, in stretches of the same length; what is older than `reach_s` before the newest is left out."""
    every = [one.at_s for errors in found.values() for one in errors if len(one.at_s)]
    if not every:
        return SkillView(at_s=[], skill={name: [] for name in found}, streams=streams)
    end_s = max(float(one[-1]) for one in every)
    edges = np.linspace(max(min(float(one[0]) for one in every), end_s - reach_s), end_s, STRETCHES + 1)
    skills = {name: _skill(errors, edges) for name, errors in found.items()}
    return SkillView(at_s=edges[1:].tolist(), skill=skills, streams=streams)


def _skill(errors: Sequence[_Errors], edges: Float64) -> list[float | None]:
    own, last = np.zeros(STRETCHES), np.zeros(STRETCHES)
    for one in errors:
        known = np.isfinite(one.own) & np.isfinite(one.last) & (one.at_s >= edges[0])
        places = np.clip(np.searchsorted(edges, one.at_s[known], side="left") - 1, 0, STRETCHES - 1)
        np.add.at(own, places, one.own[known])
        np.add.at(last, places, one.last[known])
    with np.errstate(divide="ignore", invalid="ignore"):
        skills = np.where(last > 0, 1.0 - own / last, np.nan)
    return all_known(skills.tolist())
