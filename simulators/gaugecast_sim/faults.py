"""Faults on demand: what sensors, gateways and networks do to messages, each injected one reported.

An `Injector` is a function of the samples that it is fed: no clock, no randomness. Chance comes in with `schedule`,
which draws a list of faults from a seed. What a fault's `size` means:

    gap            -                          the message is dropped
    stuck          -                          values stay what they were before the fault
    spike          added to the value
    drift          added a second, from the fault's start
    nan            -                          the value becomes NaN (`NaN` in JSON, which a strict reader refuses)
    late           seconds of delay           sent later, event time unchanged
    duplicate      further copies             the identical message again
    out_of_order   -                          changes places with the next message of its topic
    clock_step     seconds                    added to the event time
    bad_bytes      -                          the payload is cut, not UTF-8, empty, or not what it should be, in turn
    topic_flood    topics                     so many new topics, never seen before, with the same payload
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gaugecast_sim.samples import Sample


class Kind(StrEnum):
    """What goes wrong."""

    GAP = "gap"
    STUCK = "stuck"
    SPIKE = "spike"
    DRIFT = "drift"
    NAN = "nan"
    LATE = "late"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    CLOCK_STEP = "clock_step"
    BAD_BYTES = "bad_bytes"
    TOPIC_FLOOD = "topic_flood"


#: By kind: mean duration in periods, and size (drift: over the whole fault; late: in periods).
TYPICAL: dict[Kind, tuple[float, float]] = {
    Kind.GAP: (4, 0),
    Kind.STUCK: (8, 0),
    Kind.SPIKE: (0, 5),
    Kind.DRIFT: (30, 3),
    Kind.NAN: (2, 0),
    Kind.LATE: (2, 2.5),
    Kind.DUPLICATE: (2, 1),
    Kind.OUT_OF_ORDER: (2, 0),
    Kind.CLOCK_STEP: (3, 3600),
    Kind.BAD_BYTES: (1, 0),
    Kind.TOPIC_FLOOD: (0, 20),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: a kind, on topics, from `start_ns` up to but without `end_ns` (publishing time).

    Attributes:
        topic: Shell pattern of topics, `plant/*/tank-03/*`; `*` = all.
        size: See the table above.
        feature: Name of the JSON field; empty = all numbers but the event time.
    """

    kind: Kind
    topic: str
    start_ns: int
    end_ns: int
    size: float = 0.0
    feature: str = ""

    def strikes(self, sample: Sample) -> bool:
        """Whether this sample falls to it."""
        return self.start_ns <= sample.at_ns < self.end_ns and fnmatchcase(sample.topic, self.topic)


class Injected(NamedTuple):
    """One sample that was tampered with: its topic, when it was due, and its payload before."""

    kind: Kind
    topic: str
    at_ns: int
    payload: bytes


class Injector:
    """Passes samples on, with faults. Owned by one thread; `add` takes a fault while it runs.

    Attributes:
        injected: Every tampering so far, in order.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, time_field: str = "t") -> None:
        self.injected: list[Injected] = []
        self._faults = list(faults)
        self._time_field = time_field
        self._before: dict[str, bytes] = {}  # by topic: the last payload outside a `stuck`
        self._swapped: dict[str, list[Sample]] = {}  # by topic: what waits for the next of its topic
        self._late: list[tuple[int, int, int, Sample]] = []  # heap by due time, then by order of coming
        self._serial = 0

    def add(self, fault: Fault) -> None:
        """From now on this one, too."""
        self._faults.append(fault)

    def feed(self, sample: Sample) -> list[Sample]:
        """What is to be published now that `sample` is due: held ones whose time has come, then what became of it."""
        out = self._release(sample.at_ns)
        active = [fault for fault in self._faults if fault.strikes(sample)]
        tampered = sample
        for fault in active:
            tampered = self._tamper(fault, tampered)
        if not any(fault.kind is Kind.STUCK for fault in active):
            self._before[sample.topic] = sample.payload
        passed = [tampered]
        for fault in active:
            passed = self._divert(fault, tampered, passed)
        if passed and sample.topic in self._swapped:
            passed += [waiting._replace(at_ns=sample.at_ns) for waiting in self._swapped.pop(sample.topic)]
        return out + passed

    def flush(self) -> list[Sample]:
        """What is still held back, in order of its time."""
        rest = [*chain.from_iterable(self._swapped.values()), *(sample for *_, sample in self._late)]
        self._swapped.clear()
        self._late.clear()
        return sorted(rest, key=lambda sample: sample.at_ns)

    def _release(self, now_ns: int) -> list[Sample]:
        out = []
        while self._late and self._late[0][0] <= now_ns:
            out.append(heapq.heappop(self._late)[-1])
        return out

    def _tamper(self, fault: Fault, sample: Sample) -> Sample:
        """Faults of the payload."""
        seconds = (sample.at_ns - fault.start_ns) / 1e9
        payload = sample.payload
        match fault.kind:
            case Kind.SPIKE:
                payload = self._shift(payload, fault.feature, fault.size)
            case Kind.DRIFT:
                payload = self._shift(payload, fault.feature, fault.size * seconds)
            case Kind.NAN:
                payload = self._shift(payload, fault.feature, float("nan"))
            case Kind.STUCK:
                payload = self._freeze(payload, fault.feature, self._before.get(sample.topic, payload))
            case Kind.CLOCK_STEP:
                payload = shift_field(payload, self._time_field, fault.size)
            case Kind.BAD_BYTES:
                payload = spoil(payload, self._serial)
        if payload == sample.payload or (
            fault.kind is not Kind.BAD_BYTES and _parse(payload) == _parse(sample.payload)
        ):
            return sample  # a drift of nothing yet, a sensor that stood still by itself
        self._report(fault, sample)
        return sample._replace(payload=payload)

    def _divert(self, fault: Fault, sample: Sample, passed: list[Sample]) -> list[Sample]:
        """Faults of delivery. `passed` is what the faults before left of it; empty = it is gone or held already."""
        if not passed:
            return passed
        match fault.kind:
            case Kind.GAP:
                passed = []
            case Kind.LATE:
                due_ns = sample.at_ns + round(fault.size * 1e9)
                for copy, held in enumerate(passed):
                    heapq.heappush(self._late, (due_ns, self._serial, copy, held._replace(at_ns=due_ns)))
                passed = []
            case Kind.OUT_OF_ORDER if sample.topic not in self._swapped:
                self._swapped[sample.topic] = passed
                passed = []
            case Kind.DUPLICATE:
                passed = [*passed, *[sample] * int(fault.size)]
            case Kind.TOPIC_FLOOD:
                names = (f"{sample.topic}-flood-{self._serial}-{n}" for n in range(int(fault.size)))
                passed = [*passed, *(sample._replace(topic=name) for name in names)]
            case _:
                return passed
        self._report(fault, sample)
        return passed

    def _report(self, fault: Fault, sample: Sample) -> None:
        self._serial += 1
        self.injected.append(Injected(fault.kind, sample.topic, sample.at_ns, sample.payload))

    def _shift(self, payload: bytes, feature: str, by: float) -> bytes:
        names = [feature] if feature else number_fields(payload, self._time_field)
        for name in names:
            payload = shift_field(payload, name, by)
        return payload

    def _freeze(self, payload: bytes, feature: str, before: bytes) -> bytes:
        now, then = _parse(payload), _parse(before)
        if not isinstance(now, dict) or not isinstance(then, dict):
            return before
        names = [feature] if feature else number_fields(payload, self._time_field)
        return json.dumps(now | {name: then[name] for name in names if name in then and name in now}).encode()


def inject(samples: Iterable[Sample], faults: Iterable[Fault], report: list[Injected]) -> Iterator[Sample]:
    """Pass samples (in order of `at_ns`) on with faults; what was injected is appended to `report` as it happens."""
    injector = Injector(faults)
    injector.injected = report
    for sample in samples:
        yield from injector.feed(sample)
    yield from injector.flush()


def schedule(
    seed: int,
    topics: Iterable[str],
    *,
    start_ns: int,
    end_ns: int,
    period_s: float,
    per_hour: float,
    kinds: Iterable[Kind] = tuple(Kind),
) -> tuple[Fault, ...]:
    """Draw faults as a Poisson process of `per_hour` over all topics; durations and sizes about `TYPICAL`."""
    rng = np.random.default_rng(seed)
    names, chosen = tuple(topics), tuple(kinds)
    faults = []
    at_s = rng.exponential(3600.0 / per_hour)
    while at_s < (end_ns - start_ns) / 1e9:
        kind = chosen[int(rng.integers(len(chosen)))]
        topic = names[int(rng.integers(len(names)))]
        periods, size = TYPICAL[kind]
        duration_s = period_s * (1.0 + rng.exponential(periods) if periods else 1.0)
        if kind is Kind.DRIFT:
            size /= duration_s
        elif kind is Kind.LATE:
            size *= period_s
        elif kind in (Kind.SPIKE, Kind.CLOCK_STEP):
            size *= float(rng.choice((-1.0, 1.0)))
        first_ns = start_ns + round(at_s * 1e9)
        faults.append(Fault(kind, topic, first_ns, first_ns + round(duration_s * 1e9), float(size)))
        at_s += rng.exponential(3600.0 / per_hour)
    return tuple(faults)


def number_fields(payload: bytes, time_field: str) -> list[str]:
    """Names of a JSON object's numbers but the event time; `[""]`, the number itself, for a bare one; else none."""
    parsed = _parse(payload)
    if isinstance(parsed, dict):
        return [name for name, value in parsed.items() if name != time_field and _is_number(value)]
    return [""] if _is_number(parsed) else []


def shift_field(payload: bytes, name: str, by: float) -> bytes:
    """Add to one number of a JSON object, or to a bare number; a payload without that number comes back as it is."""
    parsed = _parse(payload)
    if _is_number(parsed):
        return json.dumps(round(parsed + by, 6)).encode()
    if isinstance(parsed, dict) and _is_number(parsed.get(name)):
        return json.dumps(parsed | {name: round(parsed[name] + by, 6)}).encode()
    return payload


def spoil(payload: bytes, variant: int) -> bytes:
    """The payload cut off, not UTF-8, empty, or of the wrong type, by turns."""
    return (b"{" + payload[: len(payload) // 2], b"\xff\xfe" + payload, b"", b'["what"]')[variant % 4]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse(payload: bytes) -> Any:
    """The payload as JSON (a bare number is JSON, too), or `None`."""
    try:
        return json.loads(payload)
    except ValueError:
        return None
