"""The message that a consumer gets: one JSON object a forecast, keys always in the same order.

Its JSON Schema is `forecast.schema.json` beside this file.
"""

from __future__ import annotations

import msgspec
import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.records import Float64
from gaugecast.topics import output_topic

#: Quality flags by bit, in the order in which they are printed.
QUALITY = ("warming", "bridged", "partial", "fallback", "stale")
WARMING, BRIDGED, PARTIAL, FALLBACK, STALE = (1 << i for i in range(len(QUALITY)))

_FLAGS = tuple([name for i, name in enumerate(QUALITY) if bits >> i & 1] for bits in range(1 << len(QUALITY)))
_DIGITS = 9
_encode = msgspec.json.Encoder().encode


def round_digits(values: Float64, digits: int = _DIGITS) -> Float64:
    """Round to so many significant decimal digits: shorter to send, and finer than any sensor."""
    size = np.abs(values)
    size = np.where((size > 1e-200) & (size < 1e200), size, 1.0)
    factor = 10.0 ** (digits - 1 - np.floor(np.log10(size)))
    out: Float64 = np.where(np.abs(values) < 1e200, np.rint(values * factor) / factor, values)
    return out


def seconds(at_ns: int) -> float:
    """Unix seconds of an instant, correctly rounded to a double (about 0.2 µs)."""
    return at_ns / 1_000_000_000


class BodyWriter:
    """Makes the messages of one fleet.

    Attributes:
        lineage: Named in each message; empty where the ledger has none yet.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.lineage = ""
        self.names = tuple(f.name for f in fleet.forecast_features)

    def topic(self, stream: str) -> str:
        """Where a stream's forecasts go."""
        return output_topic(self.fleet.output, self.fleet.name, stream)

    def body(
        self,
        stream: str,
        step: int,
        at_ns: int,
        horizons: list[list[float]],
        observed: list[float],
        predicted: list[float],
        residual: list[float],
        model: str | None,
        quality: int,
    ) -> bytes:
        """One message.

        Args:
            stream, step: Name the message for ever, within its lineage.
            at_ns: Event time of the step that the forecast was made at.
            horizons: (H, G) forecasts for 1…H ticks ahead, in the sensors' units.
            observed: (G,) what was measured; NaN, printed as null, where nothing was.
            predicted: (G,) what had been forecast for it.
            residual: (G,) observed − predicted.
            model: Version of the model that made the forecast, `None` for persistence.
            quality: Flags, see `QUALITY`.
        """
        names, period = self.names, self.fleet.period_ns
        message: dict[str, object] = {
            "fleet": self.fleet.name,
            "stream": stream,
            **({"lineage": self.lineage} if self.lineage else {}),
            "step": step,
            "at": seconds(at_ns),
            "for": seconds(at_ns + period),
            "forecast": dict(zip(names, horizons[0], strict=True)),
            "horizons": [
                {"for": seconds(at_ns + (h + 1) * period), **dict(zip(names, row, strict=True))}
                for h, row in enumerate(horizons[1:], 1)
            ],
            "observed": dict(zip(names, observed, strict=True)),
            "predicted": dict(zip(names, predicted, strict=True)),
            "residual": dict(zip(names, residual, strict=True)),
            "model": model,
            "quality": _FLAGS[quality],
        }
        return _encode(message)
