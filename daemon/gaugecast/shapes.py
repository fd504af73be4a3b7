"""Shapes: in which format, and where, the forecasts of a fleet are said; and the names that their numbers go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gaugecast.topics import output_topic

Format = Literal["json", "flat", "number", "influx"]
Side = Literal["low", "high"]

#: Placeholders that stand for a number's feature and for how far ahead it lies.
FEATURE, HORIZON = "{feature}", "{horizon}"


@dataclass(frozen=True, slots=True)
class Shape:
    """One way of saying what is forecast.

    Attributes:
        format: `json`: all that there is to say; `flat`: numbers alone, at the top level; `number`: one a topic;
            `influx`: line protocol.
        topic: Template of the topic: `{fleet}`, `{stream}`, and of a number `{feature}` and `{horizon}`.
        batch: One message for all that is forecast with one commit.
        qos, retain: How it is published.
    """

    format: Format = "json"
    topic: str = ""
    batch: bool = False
    qos: int = 1
    retain: bool = False

    def topics(self, fleet: str, stream: str, *, features: Sequence[str], spans: Sequence[str]) -> Iterator[str]:
        """All topics that it makes of one stream; `spans` are horizons in words, such as `15m`."""
        if self.format != "number":
            yield output_topic(self.topic, fleet, stream)
            return
        for feature in features:
            for span in spans:
                yield output_topic(number_topic(self.topic, feature, span), fleet, stream)


@dataclass(frozen=True, slots=True)
class Home:
    """How streams are announced to Home Assistant.

    Attributes:
        prefix: Its discovery prefix.
        availability: Topic of our status.
    """

    prefix: str
    availability: str

    @property
    def birth_topic(self) -> str:
        """Where it says that it has come."""
        return f"{self.prefix}/status"


def number_topic(template: str, feature: str, span: str) -> str:
    """The template of the topic of one number."""
    return template.replace(FEATURE, feature).replace(HORIZON, span)


def forecast_name(feature: str, span: str = "") -> str:
    """What a flat message calls a forecast; `span` is empty for the next step."""
    return _joined(feature, "forecast", span)


def bound_name(feature: str, side: Side, *, level: str = "", span: str = "") -> str:
    """What it calls a bound; `level` is empty for the first of the fleet's intervals, else per cent, such as `95`."""
    return _joined(feature, side, level, span)


def residual_name(feature: str) -> str:
    """What it calls what came minus what had been forecast."""
    return _joined(feature, "residual")


def score_name(feature: str) -> str:
    """What it calls how strange the value is."""
    return _joined(feature, "score")


def level_names(levels: Sequence[float]) -> list[str]:
    """How bounds of each level are told apart: those of the first by nothing."""
    return ["" if place == 0 else f"{level * 100:g}" for place, level in enumerate(levels)]


def flat_names(
    features: Sequence[str], spans: Sequence[str], levels: Sequence[float], *, scored: bool = False
) -> Iterator[str]:
    """All keys of a flat message, in order; `spans` begins with the next step; `scored`: anomalies are looked for."""
    yield from ("time", "step")
    for feature in features:
        yield feature
        for place, span in enumerate(spans):
            ahead = span if place else ""
            yield forecast_name(feature, ahead)
            for level in level_names(levels):
                yield bound_name(feature, "low", level=level, span=ahead)
                yield bound_name(feature, "high", level=level, span=ahead)
        yield residual_name(feature)
        if scored:
            yield score_name(feature)


def _joined(*words: str) -> str:
    return "_".join(filter(None, words))
