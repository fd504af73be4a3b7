"""The message of an anomaly, on a topic of its own."""

from __future__ import annotations

import hashlib

import msgspec

from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.reason import Seen, sentence

#: Version of the shape of these messages.
SCHEMA = 1
_DIGITS = 4
#: What is said where values are not judged because the machine is off.
MACHINE_OFF = "MACHINE_OFF"


class AnomalousFeature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one feature has to do with an anomaly.

    Attributes:
        share: Of what is strange; those of all features add up to 1.
        score: 1.0 is the limit.
        detector: What finds it strange: `dropout`, `stuck`, `level`, `relation`, `surprise`, `reference`, `calm`,
            `autoencoder`.
        observed: The value; absent where it was not measured.
        expected: What that detector expects in its place; absent where it expects no value.
    """

    share: float
    score: float
    detector: str
    observed: float | None = None
    expected: float | None = None


class Anomaly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of something that is wrong with a stream.

    Attributes:
        schema: Version of this message's shape.
        lineage: The ledger's history that `step` counts in.
        step: Of the stream's forecast that was made with it.
        event: `begin`, `update` or `end`.
        id: Names the anomaly: the same from begin to end.
        number: Of this message among those of the anomaly; the begin is 1.
        began: When it began, Unix seconds of event time.
        at: Event time of the step that this was told at.
        severity: `warning`; `critical`: it has been twice as strange as the limit; `silenced`: somebody wants no noise.
        acknowledged: Somebody knows of it.
        ended_by: `MACHINE_OFF` of an end that came because the machine was switched off.
        score: Now; 1.0 is the limit.
        peak: The highest score since it began.
        reason: In words, for people.
        features: Those that have a share in it, the largest first.
    """

    schema: int
    fleet: str
    stream: str
    lineage: str = ""
    step: int
    event: str
    id: str
    number: int
    began: float
    at: float
    severity: str
    score: float
    peak: float
    reason: str
    features: dict[str, AnomalousFeature]
    acknowledged: bool = False
    ended_by: str = ""


def name_of(fleet: str, stream: str, began_ns: int) -> str:
    """What names an anomaly: 12 hexadecimal digits, the same in every replay."""
    return hashlib.sha256(f"{fleet}\0{stream}\0{began_ns}".encode()).hexdigest()[:12]


class AnomalyWriter:
    """Makes the messages of one fleet's anomalies."""

    def __init__(self, fleet: Fleet, lineage: str) -> None:
        self.fleet, self._lineage = fleet, lineage

    def body(
        self, stream: str, *, step: int, at_ns: int, began_ns: int, event: str, severity: str, score: float,
        peak: float, seen: list[Seen], number: int, acknowledged: bool = False, off: bool = False,
    ) -> bytes:  # fmt: skip
        """One message's bytes; `seen` are the features with a share, the largest first."""
        names, for_s = [f.name for f in self.fleet.forecast_features], (at_ns - began_ns) / 1e9
        return msgspec.json.encode(
            Anomaly(
                schema=SCHEMA, fleet=self.fleet.name, stream=stream, lineage=self._lineage, step=step, event=event,
                id=name_of(self.fleet.name, stream, began_ns), number=number, began=began_ns / 1e9, at=at_ns / 1e9,
                severity=severity, score=round(score, _DIGITS), peak=round(peak, _DIGITS),
                reason="the machine is off" if off else sentence(seen, names, for_s),
                features={
                    one.name: AnomalousFeature(
                        share=one.share, score=round(one.score, _DIGITS), detector=one.detector,
                        observed=one.observed, expected=one.expected,
                    )
                    for one in seen
                },
                acknowledged=acknowledged, ended_by=MACHINE_OFF if off else "",
            )
        )  # fmt: skip
