"""What must hold when a story is over and everything has healed: against the truth, a replay, an uninterrupted run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gaugecast import events
from gaugecast.loop.clock import STEP_NS
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline
from gaugecast.records import Kind, Message, Order
from simulation.fleets import LIMITS, LINEAGE, SECOND, T0, model_of
from simulation.points import Violation
from support.state_bytes import differences

if TYPE_CHECKING:
    from simulation.story import Story


def check_end(story: Story) -> None:
    """All of it.

    Raises:
        Violation: An invariant does not hold.
    """
    _check_clock(story)
    _check_replay(story)
    if story.limits is LIMITS:
        _check_alone(story)
        _check_against_uninterrupted(story)
        _check_bare(story)


def _check_clock(story: Story) -> None:
    """I9: stamps have come back to the truth, whatever was done to the clock."""
    off_ns = story.life.core.clock.latest - story.clock.true()
    if story.clock_known and abs(off_ns) > STEP_NS + SECOND:
        raise Violation(f"I9: the clock is right again, and stamps are {off_ns / 1e9:.0f} s off")


def _check_replay(story: Story) -> None:
    """I7: the same inputs, cut otherwise, give the same outputs, verdicts and states."""
    pipeline = Pipeline(story.limits, model_of)
    at, bodies, verdicts = 0, [], []
    while at < len(story.journal.inputs):
        size = story.rng.choice((1, 3, 10, 1000))
        outcome = pipeline.advance(story.journal.inputs[at : at + size])
        bodies += [output.body for output in outcome.outputs]
        verdicts += [int(v) for v in outcome.verdicts]
        at += size
    if bodies != [kept.body for kept in story.journal.outputs]:
        raise Violation("I7: a replay from the beginning gives other bodies")
    if verdicts != story.journal.verdicts:
        raise Violation("I7: a replay from the beginning gives other verdicts")
    differing = differences(pipeline, story.life.core.pipeline)
    if differing:
        raise Violation(f"I7: a replay from the beginning ends in another state: {differing[:5]}")


def _check_alone(story: Story) -> None:
    """I7: a stream that is watched is told of in the same bytes where it is replayed alone."""
    for fleet in (one for one in story.fleets if one.anomaly is not None):
        pipeline = Pipeline(story.limits, model_of)
        alone = [one for one in story.journal.inputs if one.kind != Kind.READING or one.stream == "a"]
        made = [one for one in pipeline.advance(alone).outputs if (one.fleet, one.stream) == (fleet.name, "a")]
        kept = [one.body for one in story.journal.outputs if (one.fleet, one.stream) == (fleet.name, "a")]
        if [one.body for one in made] != kept:
            raise Violation(f"I7: {fleet.name}/a alone gives other bodies than in company")


def _check_against_uninterrupted(story: Story) -> None:
    """Where every message has its time and all features, crashes leave no trace at all."""
    pipeline = Pipeline(LIMITS, model_of)
    (tanks,) = (fleet for fleet in story.fleets if fleet.name == "tanks")
    pipeline.advance([Order(events.LineageBegun(LINEAGE)).stamped(T0), Order.configuring(tanks).stamped(T0)])
    install = Order(events.ModelInstalled("in_force", "1"), "tanks").stamped(T0)
    pipeline.advance([install])
    decoder = Decoder((tanks,), LIMITS)
    bodies: dict[str, list[bytes]] = {}
    for sent in story.broker.sent:
        if not sent.topic.startswith("tank/") or (sent.lost and not any(story.journal.has(sent.topic, sent.payload))):
            continue
        message = Message(sent.topic, sent.payload, 1, False, False, 1, 1)
        for output in pipeline.advance(decoder.decode([message], T0 + 3600 * SECOND).inputs).outputs:
            bodies.setdefault(output.stream, []).append(output.body)
    ours: dict[str, list[bytes]] = {}
    for kept in story.journal.outputs:
        if kept.fleet == "tanks":
            ours.setdefault(kept.stream, []).append(kept.body)
    if ours != bodies:
        raise Violation("I2, I7: forecasts of the tanks are not those of an uninterrupted run")


def _check_bare(story: Story) -> None:
    """A payload without time and sequence is stepped once, in the order in which it was sent."""
    sent = [s for s in story.broker.sent if s.topic.startswith("bare/")]
    for tank in ("a", "b", "c"):
        ours = [
            msgspec.json.decode(k.body)["observed"]["v"]
            for k in story.journal.outputs
            if (k.fleet, k.stream) == ("bare", tank) and b"stale" not in k.body
        ]
        said = [
            float(s.payload)
            for s in sent
            if s.topic == f"bare/{tank}" and (not s.lost or any(story.journal.has(s.topic, s.payload)))
        ]
        if ours != said:
            raise Violation(f"I2: bare/{tank} said {len(said)} values, {len(ours)} were stepped")
