"""What a message says of the listed horizons: the values of its keys `horizons` and `experts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import AheadTexts, round_digits
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.horizons.rows import EXPERTS
from gaugecast.forecast.message import Bounds, Horizon
from gaugecast.records import Int64

_encode = msgspec.json.Encoder().encode

#: Of a stream that has fallen silent nothing is said of what is ahead.
_SILENT = b"[]", b"null"


class AheadWriter:
    """Writes for one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = [feature.name for feature in fleet.forecast_features]
        self._levels = [f"{level:g}" for level in fleet.intervals]
        self._after_ns = [h * fleet.period_ns for h in fleet.horizons]
        self._spans = [duration_text(after) for after in self._after_ns]

    def texts(self, rounds: Sequence[tuple[Ahead | None, Int64]]) -> AheadTexts:
        """What the messages of rounds of steps say, one after the other.

        Args:
            rounds: What is said, `None` = nothing, and when each was (N,).
        """
        pairs: list[tuple[bytes, bytes]] = []
        for ahead, at_ns in rounds:
            pairs += [_SILENT] * len(at_ns) if ahead is None else self._pairs(ahead, at_ns)
        return AheadTexts([horizons for horizons, _ in pairs], [experts for _, experts in pairs])

    def _pairs(self, ahead: Ahead, at_ns: Int64) -> Iterator[tuple[bytes, bytes]]:
        forecast = round_digits(ahead.forecast).tolist()
        bounds = round_digits(np.stack([ahead.lower, ahead.upper], axis=-1)).tolist()
        experts = round_digits(ahead.experts[:, 0]).tolist()
        warming, leads = ahead.warming.tolist(), ahead.leads.tolist()
        for n, at in enumerate(at_ns.tolist()):
            horizons = [
                Horizon(
                    span=span,
                    instant=(at + after) / 1_000_000_000,
                    forecast=dict(zip(self._names, forecast[n][h], strict=True)),
                    intervals=self._intervals(bounds[n][h], warming[n][h]),
                    leads={name: EXPERTS[k] for name, k in zip(self._names, leads[n][h], strict=True)},
                )
                for h, (span, after) in enumerate(zip(self._spans, self._after_ns, strict=True))
            ]
            own = {
                name: {feature: values[k] for feature, values in zip(self._names, experts[n], strict=True)}
                for k, name in enumerate(EXPERTS)
            }
            yield _encode(horizons), _encode(own)

    def _intervals(self, bounds: list[list[tuple[float, float]]], warming: list[bool]) -> dict[str, Bounds | None]:
        """By feature the bounds by level, `null` while too little is known."""
        return {
            name: None if unknown else dict(zip(self._levels, by_level, strict=True))
            for name, by_level, unknown in zip(self._names, bounds, warming, strict=True)
        }
