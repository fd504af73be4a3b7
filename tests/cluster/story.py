"""Stories of a cluster: what happens is drawn from a seed; what must hold is looked at after each step."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random

from cluster.world import Broker, IngestProcess, Network, Partition, Sent, Store, Violation
from gaugecast.cluster.plan import IngestPlan, check_ingests
from gaugecast.config.broker import Mqtt
from gaugecast.config.schema import FeatureTable, FleetTable, Settings
from gaugecast.errors import ConfigError, Fenced
from gaugecast.testing.fleets import T0, fleet_of

_STREAMS, _STEPS, _SETTLE, _NODES = 6, 220, 400, 3
_DUMMY = {"x": FleetTable(subscribe=["x/{x}"], period="1s", features={"v": FeatureTable()})}


def plan_of(number: int, topics: tuple[str, ...]) -> IngestPlan:
    """An ingest of a fleet with times and of one without, on these topics."""
    settings = Settings(mqtt=Mqtt(client_id=f"c{number}"), fleet=_DUMMY).read_from(f"part-{number}.toml")
    timed = replace(fleet_of("p"), name="timed", subscribe=tuple(f"timed/{each}/{{tank}}" for each in topics))
    bare = replace(timed, name="bare", subscribe=tuple(f"bare/{each}/{{tank}}" for each in topics), time_path=None)
    return IngestPlan(f"ingest-{number}", settings, (timed, bare))


class Story:
    """One of them.

    Args:
        seed: Tells it again.
        overlap: Two ingests whose filters meet are tried: they must be refused, or nothing may be taken twice.
    """

    def __init__(self, seed: int, *, overlap: bool = False) -> None:
        self.rng = rng = Random(seed)
        self.broker, self.store = Broker(), Store()
        plans = [plan_of(0, ("a",)), plan_of(1, ("b", "a") if overlap else ("b",))]
        self.refused = False
        try:
            check_ingests(plans)
        except ConfigError:
            self.refused, plans = True, plans[:1]
        self.plans = plans
        self.network = Network(rng.randint(1, 4), rng)
        self.network.homes = [self._home(number) for number in range(self.network.partitions)]
        self.homes = list(self.network.homes)
        self.ingests = [self._ingest(plan) for plan in plans]
        self.zombies: list[IngestProcess] = []
        self.sent: dict[str, list[Sent]] = defaultdict(list)
        self._acked = 0
        for ingest in self.ingests:  # their sessions are there before anybody speaks
            ingest.ingest.turn()

    def run(self) -> None:
        """From the first trouble to the last commit.

        Raises:
            Violation: A promise was broken.
        """
        for _ in range(_STEPS):
            self._say()
            self._trouble()
            self._turn()
        self.network.calm, self.store.away = True, False
        for _ in range(_SETTLE):
            self._turn()
            if self.broker.idle and not self.network.calls:
                break
        self._check_end()

    # -- what happens

    def _say(self) -> None:
        for _ in range(self.rng.randint(0, 3)):
            topic = self.rng.choice("ab" if len(self.plans) > 1 else "a")
            fleet, tank = self.rng.choice(("timed", "bare")), self.rng.randrange(_STREAMS)
            stream = f"{fleet}/{topic}{tank}"
            number = len(self.sent[stream]) + 1
            time = f', "t": {T0 // 10**9 + number}' if fleet == "timed" else ""
            one = Sent(f"{fleet}/{topic}/{topic}{tank}", f'{{"p": {number}{time}}}'.encode(), stream, number)
            self.sent[stream].append(one)
            self.broker.publish(one)

    def _trouble(self) -> None:
        rng = self.rng
        if rng.random() >= 0.12:
            return
        kind = rng.choice(("cut", "ingest", "partition", "node", "move", "nap", "ingest_nap", "store"))
        place = rng.randrange(self.network.partitions)
        if kind == "cut":
            rng.choice(self.ingests).link.cut()
        elif kind == "store":
            self.store.away = not self.store.away
        elif kind == "ingest":
            self._replace_ingest(rng.randrange(len(self.ingests)), dies=True)
        elif kind == "ingest_nap":
            number = rng.randrange(len(self.ingests))
            self.ingests[number].asleep_until = self.network.now + rng.randint(3, 20)
            self._replace_ingest(number, dies=False)
        elif kind == "partition":
            self.network.homes[place].alive = False
            self._move(place)
        elif kind == "move":
            self._move(place)
        elif kind == "nap":
            self.network.homes[place].asleep_until = self.network.now + rng.randint(3, 20)
            self._move(place)
        else:
            self._lose_node(rng.randrange(_NODES))

    def _lose_node(self, node: int) -> None:
        for place, home in enumerate(self.network.homes):
            if home.node == node:
                home.alive = False
                self._move(place)
        for number, ingest in enumerate(self.ingests):
            if ingest.node == node:
                self._replace_ingest(number, dies=True)

    def _home(self, number: int) -> Partition:
        home = Partition(number, self.store, [plan.name for plan in self.plans])
        home.node = self.rng.randrange(_NODES)
        return home

    def _move(self, number: int) -> None:
        """A successor with the next token; the one before goes on, if it lives, until it is fenced."""
        self.network.homes[number] = self._home(number)
        self.homes.append(self.network.homes[number])

    def _ingest(self, plan: IngestPlan) -> IngestProcess:
        made = IngestProcess(plan, self.broker, self.store, self.network)
        made.node = self.rng.randrange(_NODES)
        return made

    def _replace_ingest(self, number: int, *, dies: bool) -> None:
        before = self.ingests[number]
        before.alive = not dies
        if not dies:
            self.zombies.append(before)
        self.ingests[number] = self._ingest(before.plan)

    def _turn(self) -> None:
        network = self.network
        network.now += 1
        for ingest in self.rng.sample([*self.ingests, *self.zombies], len(self.ingests) + len(self.zombies)):
            if ingest.alive and ingest.asleep_until <= network.now:
                try:
                    ingest.ingest.turn()
                except Fenced:
                    ingest.alive = False
                    if ingest in self.ingests:
                        raise Violation("the ingest that holds the lease was told that it is an old one") from None
        network.turn()
        for home in self.rng.sample(self.homes, len(self.homes)):
            if home.alive and home.asleep_until <= network.now and self.rng.random() < 0.7:
                try:
                    home.turn()
                except Fenced:
                    home.alive = False
        self._check()

    # -- what must hold

    def _check(self) -> None:
        """What was acked is durable; nothing was stepped twice, nothing out of order."""
        if self._acked < len(self.broker.acked):
            durable = {row for rows in self.store.rows.values() for row in rows}
            for sent in self.broker.acked[self._acked :]:
                if (sent.stream, sent.number) not in durable:
                    raise Violation(f"{sent.stream} {sent.number} was acked and is not durable")
            self._acked = len(self.broker.acked)

    def _check_end(self) -> None:
        if not self.broker.idle:
            raise Violation("it does not come to rest")
        stepped: dict[str, list[int]] = defaultdict(list)
        for rows in self.store.rows.values():
            for row in rows:
                stepped[row.stream].append(row.number)
        for stream, sent in self.sent.items():
            if stepped[stream] != [one.number for one in sent]:
                raise Violation(f"{stream}: expected 1 to {len(sent)} once and in order, got {stepped[stream]}")


def run(seed: int, *, overlap: bool = False) -> Story:
    """Live one story.

    Raises:
        Violation: A promise was broken.
    """
    story = Story(seed, overlap=overlap)
    story.run()
    return story
