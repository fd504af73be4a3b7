"""What `advance` made of some history, put together by stream: its steps, and the forecasts made at each."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace
from gaugecast.learn.fit.targets import row_of
from gaugecast.learn.score.course import Course
from gaugecast.pipeline import Outcome
from gaugecast.records import Float64


@dataclass(slots=True)
class Recorder:
    """Gathers steps and forecasts by stream from what `advance` gives. Owned by one thread."""

    fleet: Fleet
    keep_traces: bool = False
    at: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    tick: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    observed: dict[str, list[Float64]] = field(default_factory=lambda: defaultdict(list))
    forecast: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    traces: dict[str, list[Trace]] = field(default_factory=lambda: defaultdict(list))

    def take(self, outcome: Outcome, names: Sequence[str | None]) -> None:
        """One outcome; `names` are the streams by slot. A stream's steps and outputs come in the same order."""
        said: dict[str, deque[bytes]] = defaultdict(deque)
        for output in outcome.outputs:
            if output.forecast:  # else a notice
                said[output.stream].append(output.forecast)
        for _, trace in outcome.traces:
            steps = trace.steps
            for row, slot in enumerate(trace.slots.tolist()):
                stream = names[slot] or ""
                ticks = self.tick[stream]
                ticks.append(ticks[-1] + 1 + int(steps.gap[row]) if ticks else 0)
                self.at[stream].append(int(steps.at[row]))
                self.observed[stream].append(steps.values[row])
                self.forecast[stream].append(said[stream].popleft())
                if self.keep_traces:
                    self.traces[stream].append(row_of(trace, row))

    def courses(self) -> tuple[list[Course], list[Float64]]:
        """The streams in order of their names, and the forecasts made at each step of them (T, H, G)."""
        chosen = self.fleet.forecast_places
        courses, forecasts = [], []
        for stream in sorted(self.at):
            observed = np.array(self.observed[stream])[:, chosen]
            at, tick = np.array(self.at[stream], np.int64), np.array(self.tick[stream], np.int64)
            courses.append(Course(stream, at, tick, observed))
            packed = np.frombuffer(b"".join(self.forecast[stream]), "<f8")
            forecasts.append(packed.reshape(len(at), self.fleet.horizon, len(chosen)))
        return courses, forecasts
