"""Learning in a cluster, held against learning in one daemon: the same sensors, how good forecasts are in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from chaos.scenario import FLEET
from cluster.embedded import daemon
from cluster.live import Site, site
from gaugecast import events
from gaugecast.cluster.postgres.reader import PostgresReader
from gaugecast.service.opening import look_up
from gaugecast.service.replaying import Replayed, replay_ledger
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Received, Sink
from support.mosquitto import wait_until

_STREAMS, _PARTITIONS = 24, 2
#: Readings of a stream a second, as far as time passes; of their event times one a second.
_PACE = 12.0
#: Rounds in all, and those at the end by which both are judged.
_ROUNDS, _JUDGED = 1500, 300
_DEADLINE_S = 240.0
#: A cluster may be worse than one daemon by so much of its skill.
MOST_WORSE = 0.05


@dataclass(slots=True)
class Lessons:
    """Skill over the last value, of the forecasts that were published at the end.

    Attributes:
        handovers: By partition, how many versions came into force there.
        replayed: By partition, how many messages its ledger, taken again, has made.
        replay_differing: Of them those that are not what was published.
    """

    cluster_skill: float
    embedded_skill: float
    handovers: list[int] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)
    replay_differing: int = 0

    @property
    def red(self) -> bool:
        """Whether a promise was broken."""
        worse = self.cluster_skill < (1 - MOST_WORSE) * self.embedded_skill
        too_few = min(self.handovers, default=0) < 2 or min(self.replayed, default=0) < 1
        return worse or too_few or self.replay_differing > 0


def learn(directory: Path) -> Lessons:
    """Both, one after the other."""
    parts, alone = directory / "cluster", directory / "embedded"
    parts.mkdir()
    alone.mkdir()
    everything = _STREAMS * _ROUNDS
    with site(
        parts, partitions=_PARTITIONS, streams=_STREAMS, rate=_STREAMS * _PACE, workers=0, learning=True,
        count=everything,
    ) as one:  # fmt: skip
        one.begin_load()
        wait_until(lambda: one.sink.count >= everything, what=one.log_tail, deadline_s=_DEADLINE_S)
        heard, plan, handed = _judged(one.sink), one.plan, handovers(one)
        again = replays(one)
    found = skill(heard, plan)
    with daemon(alone, streams=_STREAMS, learning=True) as (_, port, plan, sink):
        LoadGenerator("127.0.0.1", port, plan, rate=_STREAMS * _PACE, count=everything).run()
        wait_until(lambda: sink.count >= everything, what="the daemon's forecasts", deadline_s=_DEADLINE_S)
        beside = skill(_judged(sink), plan)
    return Lessons(
        round(found, 4), round(beside, 4), handed, [each.outputs for each in again],
        sum(each.differing for each in again),
    )  # fmt: skip


def _judged(sink: Sink) -> list[Received]:
    return list(sink.messages[-_STREAMS * _JUDGED :])


def skill(messages: Sequence[Received], plan: LoadPlan) -> float:
    """1 − mean squared error by that of the last value, mean over the features."""
    rows = {plan.stream_name(number): number for number in range(plan.streams)}
    error = np.zeros((2, len(plan.features)))
    for message in messages:
        told = msgspec.json.decode(message.payload)
        stream = np.array([rows[told["stream"]]])
        meant, now = (np.array([_round(plan, told[name])]) for name in ("for", "at"))
        for number, feature in enumerate(plan.features):
            value, last = (plan.values(stream, number, one)[0] / 1000 for one in (meant, now))
            error[:, number] += (told["forecast"][feature] - value) ** 2, (last - value) ** 2
    return float(np.mean(1 - error[0] / error[1]))


def _round(plan: LoadPlan, at_s: float) -> int:
    return round((at_s * 1e9 - plan.start_ns) / plan.period_ns)


def handovers(one: Site) -> list[int]:
    """Versions that came into force in each partition, by what its ledger says."""
    counts = []
    for number in range(one.partitions):
        with PostgresReader(one.place.part(number)) as reader:
            told = [event for _, fleet, event in reader.events() if fleet == FLEET]
        counts.append(sum(_puts_in_force(event) for event in told))
    return counts


def replays(one: Site) -> list[Replayed]:
    """The ledger of each partition, taken again from its beginning."""
    found = []
    for number in range(one.partitions):
        names = {"directory": one.directory / f"again{number}", "postgres_schema": one.place.part(number).schema}
        found.append(replay_ledger(look_up(one.settings.storage.model_copy(update=names)), one.settings.loop))
    return found


def _puts_in_force(event: events.Event) -> bool:
    if isinstance(event, events.ModelInstalled):
        return event.role == "in_force" and event.reason == events.LEARNED
    return isinstance(event, events.ShadowPromoted)
