"""The core: orders stand in one line; nothing is read by one configuration and stepped by another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from gaugecast import events
from gaugecast.errors import ModelError
from gaugecast.events import FleetConfigured, FleetRetired, ModelInstalled, ShadowWarmed
from gaugecast.fleet import Feature, Fleet
from gaugecast.loop.protocol import DataLoop
from gaugecast.model import Model
from gaugecast.payloads import Decoder
from gaugecast.records import Input, Kind, Message, Order
from gaugecast.testing import Clock
from simulation.broker import Broker
from simulation.fleets import ALL, JOINED, LIMITS, SECOND, SEQUENCED, T0, TANKS, Weights, model_of
from simulation.journal import Journal
from simulation.life import Life
from simulation.orders import remembered
from simulation.place import empty_place
from simulation.points import Points

LEVELS = Fleet("levels", ("level/{tank}",), "{tank}", (Feature("level", path=("v",)),), SECOND, time_path=("t",))


class Steady(Random):
    """Chance that always says: connect, exchange everything, read everything."""

    def random(self) -> float:
        """Never odd."""
        return 0.5


class Plant:
    """A core over a broker, a disk and a clock that do nothing odd."""

    def __init__(self, directory: Path, fleets: tuple[Fleet, ...]) -> None:
        self.journal, self.clock, self.weights = Journal(), Clock(T0 + 60 * SECOND), Weights()
        self.points = Points()
        self.journal.decoder = Decoder((*ALL, LEVELS), LIMITS)
        self.journal.check_acked = lambda *_: None  # type: ignore[method-assign]  # messages mean more than one thing here
        self.broker = Broker(Steady(), self.journal, reuse_ids=False)
        self._directory = directory
        self.life = self.begin(fleets)

    def begin(self, fleets: tuple[Fleet, ...]) -> Life:
        """A process."""
        self.life = Life(
            self._directory, fleets, broker=self.broker, clock=self.clock, points=self.points, journal=self.journal,
            rng=Steady(), weights=self.weights,
        )  # fmt: skip
        self.turn(3)
        return self.life

    def turn(self, count: int = 1) -> None:
        """Rounds of the loop."""
        for _ in range(count):
            self.life.turn()

    def say(self, topic: str, **content: float) -> None:
        """A sensor speaks."""
        self.broker.accept(topic, msgspec.json.encode(content))

    @property
    def bodies(self) -> list[dict[str, object]]:
        """All that is durable of what was said, oldest first."""
        return [msgspec.json.decode(kept.body) for kept in self.journal.outputs]

    def taken(self, kind: type[events.Event]) -> list[int]:
        """Places among all inputs of the events of one kind."""
        return [place for place, one in enumerate(self.journal.inputs) if isinstance(one.event, kind)]

    def put_chunks_in_line(self) -> None:
        """Five orders that bring a newcomer's memory, a batch each."""
        core = self.life.core
        for order in core.roles.hand_over("joined", "2", "shadow", "asked"):
            core.order(order)
        for chunk in remembered(self.journal, "2") * 2:
            core.order(Order(ShadowWarmed("2"), "joined", state=chunk))
        assert len(core.orders) > 5


@pytest.fixture
def plant() -> Iterator[Plant]:
    """The fleets of the stories and one of levels; each tank of `joined` has spoken."""
    with empty_place() as place:
        made = Plant(place, (*ALL, LEVELS))
        for second in range(4):
            for tank in "abc":
                made.say(f"joined/{tank}/p", t=T0 / 1e9 + second, v=1.0 + second)
                made.say(f"joined/{tank}/q", t=T0 / 1e9 + second, v=2.0 + second)
            made.turn(2)
        yield made
        made.life.kill()


def readings_of(plant: Plant, fleet: str) -> list[Input]:
    """Those that are durable."""
    return [one for one in plant.journal.inputs if one.kind == Kind.READING and one.fleet == fleet]


def test_a_fleet_that_a_reload_brings_is_read_only_once_the_pipeline_has_it(plant: Plant) -> None:
    """Behind what a newcomer remembers, and with a message in hand: the process goes on."""
    other = replace(LEVELS, name="basins", subscribe=("basin/{tank}",))
    plant.put_chunks_in_line()
    plant.life.reconfigure((*ALL, LEVELS, other))
    plant.say("level/a", t=T0 / 1e9, v=1.0)
    plant.turn(2)
    plant.say("basin/a", t=T0 / 1e9, v=7.0)  # nobody has subscribed yet: the order stands in line
    plant.turn(20)
    plant.say("basin/a", t=T0 / 1e9 + 1, v=8.0)
    plant.turn(3)
    assert [body["observed"] for body in plant.bodies if body["fleet"] == "basins"] == [{"level": 8.0}]


def test_one_feature_more_is_read_from_the_batch_on_that_configures_it(plant: Plant) -> None:
    """Readings of two features and of three never meet in one batch."""
    wider = replace(JOINED, features=(*JOINED.features, Feature("r", path=("v",))))
    plant.put_chunks_in_line()
    plant.life.reconfigure(tuple(wider if f.name == "joined" else f for f in (*ALL, LEVELS)))
    for second in range(4, 14):
        plant.say("joined/a/p", t=T0 / 1e9 + second, v=1.0)
        plant.turn()
    configured = plant.taken(FleetConfigured)[-1]
    sizes = [(place > configured, len(one.values)) for place, one in enumerate(plant.journal.inputs) if one.values]
    assert {size for after, size in sizes if after} == {24}
    assert plant.taken(ShadowWarmed)[-1] < configured, "orders keep their line"


def test_a_feature_that_takes_anothers_place_is_never_published_under_its_name(plant: Plant) -> None:
    """`level` is replaced by `flow`: what says flow is forecast as flow, once the pipeline knows it."""
    flows = replace(LEVELS, features=(Feature("flow", path=("w",)),))
    plant.put_chunks_in_line()
    plant.life.reconfigure((*ALL, flows))
    for second in range(12):
        plant.say("level/a", t=T0 / 1e9 + second, w=999.0)
        plant.turn()
    said = [body["observed"] for body in plant.bodies if body["fleet"] == "levels"]
    assert {"flow": 999.0} in said
    assert all("level" not in observed for observed in said)  # type: ignore[operator]


def test_two_reloads_in_a_row_are_both_taken_in_their_order(plant: Plant) -> None:
    """Each is held against what the one before it has left."""
    plant.life.reconfigure((TANKS, JOINED))
    plant.life.reconfigure((TANKS, JOINED, SEQUENCED))
    plant.turn(4)
    assert set(plant.life.core.pipeline.parts) == {"tanks", "joined", "sequenced"}
    gone = [plant.journal.inputs[place].fleet for place in plant.taken(FleetRetired)]
    assert gone == ["means", "sequenced", "bare", "levels"]


def test_weights_are_not_handed_over_while_a_configuration_is_on_its_way(plant: Plant) -> None:
    """They were held against the fleet as it still is; whoever asks is told to ask again."""
    core = plant.life.core
    plant.life.reconfigure(ALL)
    with pytest.raises(ModelError, match="configuration is on its way"):
        core.roles.hand_over("joined", "2", "in_force", "asked")
    plant.turn()
    assert core.roles.hand_over("joined", "2", "in_force", "asked")


def test_weights_that_are_lost_leave_their_role_empty_before_a_new_configuration_counts(plant: Plant) -> None:
    """The event says so in the batch of the configuration, before it: a replay without the file is exact from there."""
    plant.life.shutdown()
    plant.broker.cut()
    plant.weights.load = _gone  # type: ignore[method-assign]
    before = len(plant.journal.inputs)
    plant.begin((*ALL, LEVELS))
    told = [one.event for one in plant.journal.inputs[before:] if isinstance(one.event, ModelInstalled)]
    assert [(event.role, event.version, event.reason) for event in told[:2]] == [
        ("in_force", "", "lost"), ("shadow", "", "lost")
    ]  # fmt: skip


def _gone(fleet: str, version: str) -> Model:
    if fleet == "joined":
        raise ModelError(f"weights {version} expected, found nothing")
    return model_of(fleet, version)


def test_orders_in_line_are_taken_without_waiting_for_a_message(plant: Plant) -> None:
    """A newcomer's memory of thousands of streams is in place after as many rounds, not quarters of a second."""
    poll, waits = plant.life.link.poll, list[float]()

    def timed(most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        waits.append(wait_s)
        return poll(most, wait_s, linger_s)

    plant.life.link.poll = timed  # type: ignore[method-assign]
    plant.put_chunks_in_line()
    while len(plant.life.core.orders):
        plant.turn()
    assert max(waits) == 0
    plant.turn(3)
    assert max(waits) > 0


@pytest.mark.parametrize("blind", [False, True], ids=["", "mutant"])
def test_no_checkpoint_stands_before_rows_that_it_knows(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, blind: bool
) -> None:
    """While a batch waits for room its steps are taken and its rows are not durable; the mutant forgets to look."""
    core = plant.life.core
    if blind:
        monkeypatch.setattr(DataLoop, "holding", property(lambda _: False))
    core.checkpointer.give_up()
    monkeypatch.setattr(core.checkpointer, "_due", lambda _: True)
    plant.points.full = 5
    plant.say("joined/a/p", t=T0 / 1e9 + 9, v=1.0)
    before = plant.points.reached["checkpoint:header"]
    plant.turn(4)
    assert (plant.points.reached["checkpoint:header"] > before) == blind


def test_the_next_process_lets_go_of_what_a_fleet_read_that_left_while_the_broker_was_away(plant: Plant) -> None:
    """Else the broker would send its readings for as long as the session lives, to be refused one by one."""
    plant.begin((TANKS, LEVELS))
    plant.broker.cut()
    plant.broker.lets_subscribe = False
    plant.life.reconfigure((TANKS,))
    plant.turn(2)
    plant.life.kill()
    plant.broker.lets_subscribe = True
    plant.begin((TANKS,))
    assert plant.broker.accept("level/a", b"{}").lost, "nobody listens to it"
    assert not plant.broker.accept("tank/a", b"{}").lost


def test_as_much_is_sealed_as_comes_and_a_quiet_round_seals_a_little(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second would not keep up: the ledger would grow past `keep_gb` for ever."""
    core, calls = plant.life.core, 0

    def prune(_floor_seq: int) -> int:
        nonlocal calls
        calls += 1
        return 16

    monkeypatch.setattr(core.ledger, "prune", prune)
    plant.clock.advance(11.0)
    plant.turn()
    assert calls == 1
    for tank in range(20):
        plant.say(f"level/{tank}", t=T0 / 1e9, v=1.0)
    for _ in range(9):
        taken, called = len(plant.journal.inputs), calls
        plant.turn()
        assert calls - called == max(1, -((taken - len(plant.journal.inputs)) * 6 // 16))
    assert len(readings_of(plant, "levels")) == 20
    monkeypatch.setattr(core.ledger, "prune", lambda _: 0)
    plant.turn()
    monkeypatch.setattr(core.ledger, "prune", prune)
    called = calls
    plant.turn(3)
    assert calls == called, "nothing was left to do: it is looked after again in ten seconds"
