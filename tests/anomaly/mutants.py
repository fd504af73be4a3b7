"""Deliberate faults in what is promised of anomalies; `mutants` has them with all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gaugecast.forecast.anomaly import alarm, detectors, statistics
from gaugecast.pipeline import anomalies, state

Patch = Callable[[Any, str, Any], None]


def _not_in_checkpoint(patch: Patch) -> None:
    restore = state._restore_slice

    def forgetting(one: Any, name: str, start: int, rows: Any) -> bool:
        return name.split("/")[1] == anomalies.ANOMALY_EVENTS or restore(one, name, start, rows)

    patch(state, "_restore_slice", forgetting)


def _state_not_in_checkpoint(patch: Patch) -> None:
    restore = state._restore_slice

    def forgetting(one: Any, name: str, start: int, rows: Any) -> bool:
        return name.endswith("/mode_now") or restore(one, name, start, rows)

    patch(state, "_restore_slice", forgetting)


def _judged_otherwise(patch: Patch, change: Callable[[dict[str, Any], Any, dict[str, Any]], Any]) -> None:
    judge = alarm.judge

    def judged(columns: dict[str, Any], score: Any, **more: Any) -> alarm.Judged:
        return judge(columns, change(columns, score, more), **more)

    patch(alarm, "judge", judged)


def _begins_again(patch: Patch) -> None:
    def forgetting(columns: dict[str, Any], score: Any, more: dict[str, Any]) -> Any:
        columns["open"] &= columns["heat"] < more["least"]
        return score

    _judged_otherwise(patch, forgetting)


def _chatters(patch: Patch) -> None:
    def restless(_columns: dict[str, Any], score: Any, more: dict[str, Any]) -> Any:
        more["least"] = 1
        return score

    patch(alarm, "SHUTS", 1.0)
    _judged_otherwise(patch, restless)


def _of_another_row(patch: Patch) -> None:
    step = detectors.step

    def mistaken(columns: dict[str, Any], *more: Any, **named: Any) -> Any:
        found = step(columns, *more, **named)
        columns["score"] = np.roll(columns["score"], 1, axis=0)
        return found

    patch(detectors, "step", mistaken)


def _ends_unbegun(patch: Patch) -> None:
    end_all = anomalies.Anomalies.end_all

    def talkative(self: anomalies.Anomalies, table: Any, slots: Any, *more: Any) -> None:
        self.events["open"][slots] = True
        end_all(self, table, slots, *more)

    patch(anomalies.Anomalies, "end_all", talkative)


def _outlives_its_stream(patch: Patch) -> None:
    patch(anomalies.Anomalies, "end_all", lambda *_: None)


def _stays_retained(patch: Patch) -> None:
    say = anomalies.Anomalies._say

    def lasting(self: anomalies.Anomalies, *of: Any, result: Any, **more: Any) -> None:
        say(self, *of, result=result, **more)
        if not result.notices[-1].body:
            result.notices.pop()

    patch(anomalies.Anomalies, "_say", lasting)


def _knows_the_unit(patch: Patch) -> None:
    patch(statistics, "left_out", lambda _precision, missed: missed * missed)


#: By name: what it breaks, what patches it in, and whether stories show it.
OF_ANOMALIES: dict[str, tuple[str, Callable[[Patch], None], bool]] = {
    "anomaly_not_in_checkpoint": ("a restart forgets which anomalies are open", _not_in_checkpoint, True),
    "anomaly_begins_again": ("an anomaly that is open begins a second time", _begins_again, True),
    "anomaly_state_not_in_checkpoint": ("a restart forgets the state of machines", _state_not_in_checkpoint, True),
    "anomaly_chatters": ("an anomaly ends as soon as a value is as usual", _chatters, True),
    "anomaly_of_another_row": ("a stream has the anomaly of its neighbour", _of_another_row, True),
    "anomaly_ends_unbegun": ("an end is told of what never began", _ends_unbegun, True),
    "anomaly_outlives_its_stream": ("a stream leaves, and its anomaly does not", _outlives_its_stream, True),
    "anomaly_stays_retained": ("an anomaly that is over stays with the broker", _stays_retained, True),
    "anomaly_knows_the_unit": ("a score depends on the unit", _knows_the_unit, False),
}
