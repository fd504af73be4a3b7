"""Roles of weights: hand-overs, trial, promotion, rollback, and what a restart remembers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gaugecast import events
from gaugecast.config.schema import Learning, Loop, Storage
from gaugecast.errors import ModelError
from gaugecast.fleet import Feature, Fleet
from gaugecast.ledger.store import Ledger
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.model_roles import LEARNER, ModelRoles
from gaugecast.loop.models import LossyLoader
from gaugecast.model import Model, seal_model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Input, Order, Verdict
from gaugecast.storage.models import ModelStore
from learning.worlds import FLEET, climbing, configured, event, reading, shifted_model, small_model

SETTINGS = Learning(mode="child", promote_after=50)


class House:
    """Pipeline, store and keeper, as the daemon wires them; events are taken as the loop would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = ModelStore(directory)
        self.taken: list[events.Event] = []
        self.inputs: list[Input] = []
        self._tick, self._levels, self._random = 0, np.zeros(2), np.random.default_rng(0)
        self.open()
        self.take([configured()])

    def open(self) -> None:
        """A new process."""
        self.pipeline = Pipeline(Loop(), LossyLoader(self.store))
        self.on_the_way: set[str] = set()
        self.keeper = self.keeper_under(SETTINGS)

    def keeper_under(self, settings: Learning) -> ModelRoles:
        """A keeper of this house's roles."""
        pending = self.on_the_way.__contains__
        return ModelRoles(self.pipeline, self.store, settings, pending=pending, engines=EngineLoader())

    def restart(self) -> None:
        """The same ledger, from its beginning."""
        self.open()
        self.pipeline.advance(self.inputs)
        self.keeper.remember(("tanks", one) for one in self.taken)

    def take(self, inputs: list[Input]) -> None:
        self.inputs += inputs
        self.pipeline.advance(inputs)

    def order(self, *orders: Order) -> None:
        self.on_the_way.clear()
        self.taken += [one.event for one in orders]
        self.take([one.stamped(0) for one in orders])

    def run(self, ticks: int, slope: float = 1.0) -> None:
        """Let the series climb (or fall), and the keeper judge after each tick."""
        for _ in range(ticks):
            self._levels = self._levels + slope * (1 + 0.1 * self._random.standard_normal(2))
            self.take([reading(self._tick, self._levels.tolist())])
            self.order(*self.keeper.judge())
            self._tick += 1

    def give(self, model: Model, role: str, reason: str = "learned") -> None:
        self.store.add("tanks", model)
        self.order(*self.keeper.hand_over("tanks", model.manifest.version, role, reason))

    @property
    def in_force(self) -> str | None:
        part = self.pipeline.parts["tanks"]
        return None if part.in_force is None else part.in_force.version

    @property
    def shadow(self) -> str | None:
        part = self.pipeline.parts["tanks"]
        return None if part.shadow is None else part.shadow.version


@pytest.fixture
def house(tmp_path: Path) -> House:
    """With the fleet, and nothing in force."""
    return House(tmp_path)


def good(k: int = 0) -> Model:
    """Gains where the series climbs; several versions of it."""
    return shifted_model(0.5 + 0.01 * k, made_by=LEARNER)


def bad(k: int = 0) -> Model:
    """Loses there."""
    return shifted_model(-3.0 - k, made_by=LEARNER)


def version(model: Model) -> str:
    """Its version."""
    return model.manifest.version


def with_good_in_force(house: House, model: Model | None = None) -> Model:
    """Cold start up to a model that has proven itself."""
    model = model or good()
    house.give(model, "shadow")
    house.run(80)
    assert house.in_force == version(model)
    return model


def test_a_newcomer_is_in_shadow_until_it_has_beaten_persistence_over_enough_steps(house: House) -> None:
    """20 at the least, as it gains that much; it then is as warm as it was."""
    house.give(good(), "shadow")
    house.run(18)
    assert (house.in_force, house.shadow) == (None, version(good()))
    house.run(20)
    assert (house.in_force, house.shadow) == (version(good()), None)
    part = house.pipeline.parts["tanks"]
    assert part.in_force is not None
    assert part.in_force.columns["warm"][0] > 35


def test_a_newcomer_whose_memory_cannot_be_read_begins_cold(house: House) -> None:
    """The weights are sound, so they go on trial all the same; nothing of the memory is ordered."""
    house.store.add("tanks", good())
    house.store.leave_memory("tanks", version(good()), [b"no memory"])
    (order,) = house.keeper.hand_over("tanks", version(good()), "shadow", "learned")
    assert isinstance(order.event, events.ModelInstalled)


def test_a_newcomer_that_loses_to_persistence_stays_in_shadow(house: House) -> None:
    """However long."""
    house.give(bad(), "shadow")
    house.run(200)
    assert (house.in_force, house.shadow) == (None, version(bad()))


def test_a_newcomer_of_another_shape_must_beat_what_is_in_force(house: House) -> None:
    """By `promote_skill`; a lesser one stays in shadow, a better one comes in force warm."""
    with_good_in_force(house)
    lesser = shifted_model(0.1, units=6)
    house.give(lesser, "shadow", "asked")
    house.run(150)
    assert (house.in_force, house.shadow) == (version(good()), version(lesser))
    better = shifted_model(0.95, units=6)
    house.give(better, "shadow", "asked")
    house.run(150)
    assert (house.in_force, house.shadow) == (version(better), None)


def test_weights_in_force_go_over_to_the_next_with_their_states(house: House) -> None:
    """Same shape: hidden states, statistics and the count of warm steps stay."""
    with_good_in_force(house)
    part = house.pipeline.parts["tanks"]
    assert part.in_force is not None
    before = part.in_force.columns["state"].copy()
    house.give(good(1), "in_force")
    assert house.in_force == version(good(1))
    assert np.array_equal(part.in_force.columns["state"], before)


def test_bad_weights_are_rolled_back_within_some_steps_to_the_last_good_ones(house: House) -> None:
    """Huge but finite: the moves are clipped, the loss is not."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.give(shifted_model(1e30, made_by=LEARNER), "in_force")
    house.run(40)
    assert house.in_force == version(good(1))
    assert house.taken[-1].reason == events.ROLLBACK  # type: ignore[union-attr]
    assert house.keeper.standing("tanks").rollbacks_total == 1
    house.run(100)
    assert house.in_force == version(good(1)), "expected the returned to stay: what the bad did says nothing of it"


def test_weights_that_lost_a_little_are_not_what_a_rollback_goes_back_to(house: House) -> None:
    """Too little to be rolled back themselves, but nothing to remember."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.give(shifted_model(-0.02, made_by=LEARNER), "in_force")
    house.run(30)
    house.give(bad(), "in_force")
    house.run(60)
    assert house.in_force == version(good(1))


def test_weights_that_overflow_to_no_forecast_at_all_are_rolled_back(house: House) -> None:
    """Finite weights, infinite products: every state breaks, nothing is scored, and yet they must go."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    poison = dict(good().weights)
    poison["dense/kernel"] = np.full_like(poison["dense/kernel"], 3e38)
    poison["dense/bias"] = np.full_like(poison["dense/bias"], 3e38)
    house.give(seal_model(good().manifest, poison), "in_force")
    house.run(60)
    assert house.in_force == version(good(1))


def test_where_the_good_fail_too_persistence_comes_back(house: House) -> None:
    """The series turns round: every version that ever gained now loses."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.run(400, slope=-1.0)
    assert house.in_force is None
    assert house.keeper.standing("tanks").rollbacks_total == 2


def test_a_restart_remembers_the_good_ones_from_the_events(house: House) -> None:
    """Else a rollback right after it would lead to persistence."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.give(bad(), "in_force")
    house.restart()
    assert house.in_force == version(bad())
    assert house.keeper.standing("tanks").good == version(good(1))
    house.run(100)
    assert house.in_force == version(good(1))


def test_good_weights_that_are_gone_from_the_disk_lead_to_persistence(house: House) -> None:
    """No event may name what cannot be read."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.give(bad(), "in_force")
    house.restart()
    (house.store.place("tanks", version(good(1))) / "weights.npz").write_bytes(b"")
    house.store._cache.clear()
    house.run(100)
    assert house.in_force is None


def test_a_rollback_that_was_asked_for_needs_something_in_force(house: House) -> None:
    """And a promotion needs a shadow."""
    with pytest.raises(ModelError, match="in force expected"):
        house.keeper.roll_back("tanks")
    with pytest.raises(ModelError, match="shadow expected"):
        house.keeper.promote("tanks")
    with pytest.raises(ModelError, match="fleets tanks expected, got 'ships'"):
        house.keeper.promote("ships")


def damage(path: Path) -> None:
    """One byte of the weights is another."""
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)


def test_poisoned_weights_are_refused_and_counted(house: House) -> None:
    """Wrong digest, absent, another fleet's, a version that is a path; nothing changes."""
    with_good_in_force(house)
    broken, absent, foreign = good(5), good(6), small_model(fleet="ships")
    house.store.add("tanks", broken)
    damage(house.store.place("tanks", version(broken)) / "weights.npz")
    house.store.add("tanks", foreign)
    for name, why in (
        (version(broken), "sha256"),
        (version(absent), "found nothing"),
        (version(foreign), "fleet 'tanks' expected"),
        ("../../../etc", "hexadecimal"),
    ):
        with pytest.raises(ModelError, match=why):
            house.keeper.hand_over("tanks", name, "in_force", "learned")
    assert house.keeper.standing("tanks").refused_total == 4
    assert house.in_force == version(good())
    house.give(good(1), "in_force")


def test_weights_that_are_not_finite_cannot_even_be_stored(house: House) -> None:
    """Nor read: `Model` refuses them."""
    weights = dict(good().weights)
    weights["dense/bias"] = np.full_like(weights["dense/bias"], np.nan)
    with pytest.raises(ModelError, match="finite"):
        seal_model(good().manifest, weights)


def test_nothing_begins_cold_in_force(house: House) -> None:
    """Neither where persistence is, nor with another shape."""
    with pytest.raises(ModelError, match="shadow first"):
        house.give(good(), "in_force")
    with_good_in_force(house)
    with pytest.raises(ModelError, match="shadow first"):
        house.give(shifted_model(0.5, units=6), "in_force")
    with pytest.raises(ModelError, match="role"):
        house.give(good(), "king")


def test_while_a_change_is_on_its_way_no_other_is_ordered(house: House) -> None:
    """Else a promotion could name one version and put another in force."""
    house.give(good(), "shadow")
    house.run(15)
    order = house.keeper.promote("tanks")
    house.on_the_way.add("tanks")
    house.store.add("tanks", good(1))
    for attempt in (
        lambda: house.keeper.hand_over("tanks", version(good(1)), "shadow", "learned"),
        lambda: house.keeper.promote("tanks"),
    ):
        with pytest.raises(ModelError, match="ask again"):
            attempt()
    assert house.keeper.judge() == []
    house.order(order)
    assert house.in_force == version(good())


def test_the_learners_shadow_that_comes_after_its_promotion_goes_in_force(house: House) -> None:
    """It had not heard of it yet; a second, cold expert would otherwise run for ever."""
    with_good_in_force(house)
    house.give(good(1), "shadow")
    assert (house.in_force, house.shadow) == (version(good(1)), None)


def test_the_learner_does_not_put_aside_what_a_person_tries(house: House) -> None:
    """A shadow that the learner did not make stays until it is promoted, or another is asked for."""
    theirs = shifted_model(0.4, units=6)
    house.give(theirs, "shadow", "asked")
    with pytest.raises(ModelError, match="on trial"):
        house.give(good(), "shadow")
    assert house.shadow == version(theirs)


def test_a_replay_makes_every_change_at_the_same_place(house: House) -> None:
    """The same bodies, whichever way the inputs are cut: hand-overs, promotion, rollback."""
    with_good_in_force(house)
    house.give(good(1), "in_force")
    house.run(30)
    house.give(bad(), "in_force")
    house.run(60)
    bodies = []
    for size in (1, 7, 1000):
        again = Pipeline(Loop(), house.store.load)
        cut = [house.inputs[i : i + size] for i in range(0, len(house.inputs), size)]
        bodies.append([o.body for piece in cut for o in again.advance(piece).outputs])
    assert bodies[0] == bodies[1] == bodies[2]
    assert {version(m).encode() in b"".join(bodies[0]) for m in (good(), good(1), bad())} == {True}


def test_lost_weights_leave_their_role_empty_and_an_event_says_so(house: House) -> None:
    """The daemon comes up on persistence; from that event on a replay is exact again."""
    with_good_in_force(house)
    damage(house.store.place("tanks", version(good())) / "weights.npz")
    house.store._cache.clear()
    house.open()
    loader = house.pipeline.load_model
    assert isinstance(loader, LossyLoader)
    house.pipeline.advance(house.inputs)
    assert house.in_force is None
    assert loader.lost == [("tanks", version(good()))]
    told = [one.event for one in house.keeper.loss_orders(loader.lost)]
    assert [(one.role, one.version) for one in told] == [("in_force", ""), ("shadow", "")]  # type: ignore[union-attr]


def test_the_ledgers_events_are_found_among_its_readings(tmp_path: Path) -> None:
    """By a table of their own: no reading is looked at."""
    inputs = [configured(), *climbing(range(50)), event(events.ModelInstalled("shadow", "abc", good="def"))]
    ledger = Ledger.open(tmp_path, Storage(directory=tmp_path))
    ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))
    asked: list[str] = []
    ledger._connection.set_trace_callback(asked.append)
    found = ledger.events()
    ledger.close()
    assert [(seq, fleet) for seq, fleet, _ in found] == [(1, "tanks"), (52, "tanks")]
    assert found[1][2] == events.ModelInstalled("shadow", "abc", good="def")
    assert asked
    assert not [one for one in asked if "batches" in one or "pieces" in one]


def test_nothing_is_rolled_back_while_nobody_learns(house: House) -> None:
    """With learning off no event may depend on when somebody looks: forecasts equal an uninterrupted run's."""
    with_good_in_force(house)
    house.keeper = house.keeper_under(Learning(mode="off", promote_after=50))
    house.give(bad(), "in_force")
    house.run(60)
    assert house.in_force == version(bad())


def wider() -> Fleet:
    """The fleet with a feature more."""
    return replace(FLEET, features=(*FLEET.features, Feature("level")))


@pytest.mark.parametrize("restarted", [False, True])
def test_weights_that_leave_with_the_fleets_shape_come_back_with_it(house: House, restarted: bool) -> None:
    """By what this process did, and by what the ledger's events say of an earlier one."""
    house.give(good(), "shadow")
    house.order(house.keeper.promote("tanks"))
    assert house.keeper.former(FLEET) is None
    house.keeper.make_room([wider()])
    house.order(Order.configuring(wider()))
    if restarted:
        house.restart()
    assert house.in_force is None
    assert house.keeper.former(wider()) is None, "expected nothing of another shape"
    back = house.keeper.former(FLEET)
    assert back is not None
    assert back.manifest.version == version(good())


def test_weights_that_failed_do_not_come_back(house: House) -> None:
    """A rollback disowns them, whatever happens to the fleet then."""
    house.give(bad(), "shadow")
    house.order(house.keeper.promote("tanks"))
    house.order(house.keeper.roll_back("tanks"))
    house.keeper.make_room([wider()])
    house.order(Order.configuring(wider()))
    assert house.keeper.former(FLEET) is None
    house.restart()
    assert house.keeper.former(FLEET) is None


def test_weights_that_are_gone_do_not_come_back_and_nothing_ends(house: House) -> None:
    """Persistence beats an end."""
    house.give(good(), "shadow")
    house.order(house.keeper.promote("tanks"))
    house.keeper.make_room([])
    shutil.rmtree(house.store.place("tanks", version(good())))
    house.restart()
    house.keeper.make_room([])
    assert house.keeper.former(FLEET) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_weights_of_a_fleet_that_is_gone_for_good_do_not_come_back(house: House, restarted: bool) -> None:
    """Their folder is the sweeper's; a restart knows it from the event."""
    house.give(good(), "shadow")
    house.order(house.keeper.promote("tanks"))
    house.keeper.make_room([])
    house.order(Order(events.FleetRetired(steps_kept=True), "tanks"))
    assert house.keeper.former(FLEET) is not None
    house.keeper.forget("tanks")
    house.order(Order(events.FleetForgotten(), "tanks"))
    if restarted:
        house.restart()
    assert house.keeper.former(FLEET) is None
    assert house.store.is_forgotten("tanks")
