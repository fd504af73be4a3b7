"""What was heard of a cluster that was hurt, held against one uninterrupted process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from chaos.reference import Reference
from gaugecast_sim.sink import Received

#: A stream's forecasts may fail to come for so long, whatever dies.
MOST_SILENT_S = 10.0
#: Readings of so long wait always, on their way through.
_ABOUT_NONE_S = 0.5


@dataclass(slots=True)
class Heard:
    """What the world saw.

    Attributes:
        bodies: By stream and step the first copy's body.
        torn: Further copies whose bytes differ.
        disordered: First copies that came after one of a later step.
        copies: Further copies.
        silence_s: By what was hurt last, the longest time in which a stream's forecasts did not come, while there were
            readings.
    """

    bodies: dict[str, dict[int, bytes]] = field(default_factory=dict)
    torn: int = 0
    disordered: int = 0
    copies: int = 0
    silence_s: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Wave:
    """What a hurt did to all streams together.

    Attributes:
        waiting: Readings whose forecasts had not come, at most.
        caught_up_s: From the hurt until about none waited.
    """

    waiting: int = 0
    caught_up_s: float = 0.0


@dataclass(slots=True)
class Findings:
    """Of one run: all from `lost` to `disordered` should be zero; see `Heard`."""

    kills: int
    readings: int
    lost: int = 0
    twice: int = 0
    differing: int = 0
    disordered: int = 0
    copies: int = 0
    fenced: int = 0
    silence_s: float = 0.0
    silence_by_hurt_s: dict[str, float] = field(default_factory=dict)
    waves: dict[str, Wave] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def red(self) -> bool:
        """Whether a promise was broken."""
        return self.lost + self.twice + self.differing + self.disordered > 0 or self.silence_s > MOST_SILENT_S


def fold(messages: Sequence[Received], hurts: Sequence[tuple[str, int]] = ()) -> Heard:
    """First copies, further copies, gaps.

    Args:
        messages: As they came.
        hurts: What was done, and when it began, Unix ns, in order.
    """
    heard, last_at = Heard(), dict[str, int]()
    begins = [began for _, began in hurts]
    for message in messages:
        name = msgspec.json.decode(message.payload)
        stream, step = name["stream"], name["step"]
        steps = heard.bodies.setdefault(stream, {})
        if step in steps:
            heard.copies += 1
            heard.torn += steps[step] != message.payload
            continue
        heard.disordered += bool(steps) and next(reversed(steps)) > step
        steps[step] = message.payload
        place = bisect_right(begins, message.received_ns)
        hurt = hurts[place - 1][0] if place else "nothing"
        gap_s = round((message.received_ns - last_at.get(stream, message.received_ns)) / 1e9, 2)
        heard.silence_s[hurt] = max(heard.silence_s.get(hurt, 0.0), gap_s)
        last_at[stream] = message.received_ns
    return heard


def waves(messages: Sequence[Received], hurts: Sequence[tuple[str, int]], *, rate: float) -> dict[str, Wave]:
    """By kind of hurt the highest wave, of readings that come at a steady rate.

    What does not follow from the rate, as a load generator that stumbles, counts as waiting: it is an upper bound.
    """
    seen, times = set[tuple[str, int]](), list[int]()
    for message in messages:
        name = msgspec.json.decode(message.payload)
        if (name["stream"], name["step"]) not in seen:
            seen.add((name["stream"], name["step"]))
            times.append(message.received_ns)
    found: dict[str, Wave] = {}
    ends = [*(began for _, began in hurts), times[-1] if times else 0][1:]
    for (kind, began), end in zip(hurts, ends, strict=True):
        one, before = Wave(), bisect_right(times, began)
        for number, at in enumerate(times[before : bisect_right(times, end)]):
            waiting = round((at - began) / 1e9 * rate) - number
            one.waiting = max(one.waiting, waiting)
            if waiting > _ABOUT_NONE_S * rate:
                one.caught_up_s = round((at - began) / 1e9, 1)
        if one.waiting >= found.get(kind, Wave()).waiting:
            found[kind] = one
    return found


def judge(findings: Findings, heard: Heard, reference: Reference) -> Findings:
    """Hold what was heard against an uninterrupted run of one process."""
    findings.differing += heard.torn
    findings.disordered, findings.copies = heard.disordered, heard.copies
    findings.silence_by_hurt_s, findings.silence_s = heard.silence_s, max(heard.silence_s.values(), default=0.0)
    for stream, expected in reference.bodies.items():
        got = heard.bodies.get(stream, {})
        findings.lost += sum(step not in got for step in expected)
        findings.twice += sum(step not in expected for step in got)
        findings.differing += sum(expected[step][0] != hash(body) for step, body in got.items() if step in expected)
    wrong = next(
        (
            body
            for stream, steps in heard.bodies.items()
            for step, body in steps.items()
            if reference.bodies[stream].get(step, (None,))[0] != hash(body)
        ),
        None,
    )
    if wrong is not None:
        findings.notes.append(wrong.decode())
    return findings
