"""What a message says beyond the next step, where a fleet lists horizons: two keys more, `ahead` and `experts`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import round_digits
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.horizons.rows import EXPERTS
from gaugecast.records import Int64

_encode = msgspec.json.Encoder().encode


class AheadWriter:
    """Adds to the messages of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = [feature.name for feature in fleet.forecast_features]
        self._levels = [f"{level:g}" for level in fleet.intervals]
        self._after_ns = [h * fleet.period_ns for h in fleet.horizons]
        self._spans = [duration_text(after) for after in self._after_ns]

    def tails(self, ahead: Ahead, at_ns: Int64) -> Iterator[bytes]:
        """What takes the place of the last brace of each of N messages.

        Args:
            ahead: What is said.
            at_ns: When each was (N,).
        """
        return (b"," + _encode(added)[1:] for added in self._additions(ahead, at_ns))

    def _additions(self, ahead: Ahead, at_ns: Int64) -> Iterator[dict[str, object]]:
        forecast = round_digits(ahead.forecast).tolist()
        bounds = round_digits(np.stack([ahead.lower, ahead.upper], axis=-1)).tolist()
        experts = round_digits(ahead.experts[:, 0]).tolist()
        warming, leads = ahead.warming.tolist(), ahead.leads.tolist()
        for n, at in enumerate(at_ns.tolist()):
            yield {
                "ahead": [
                    {
                        "in": span,
                        "for": (at + after) / 1_000_000_000,
                        "forecast": dict(zip(self._names, forecast[n][h], strict=True)),
                        "intervals": self._intervals(bounds[n][h], warming[n][h]),
                        "leads": {name: EXPERTS[k] for name, k in zip(self._names, leads[n][h], strict=True)},
                    }
                    for h, (span, after) in enumerate(zip(self._spans, self._after_ns, strict=True))
                ],
                "experts": {
                    name: {feature: values[k] for feature, values in zip(self._names, experts[n], strict=True)}
                    for k, name in enumerate(EXPERTS)
                },
            }

    def _intervals(self, bounds: list[list[list[float]]], warming: list[bool]) -> dict[str, object]:
        """By feature the bounds by level, `null` while too little is known."""
        return {
            name: None if unknown else dict(zip(self._levels, by_level, strict=True))
            for name, by_level, unknown in zip(self._names, bounds, warming, strict=True)
        }
