"""The learner's own `advance` over the ledger: the loop's states, its events, jumps, samples, hand-overs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast import events
from gaugecast.config.schema import Learning
from gaugecast.fleet import Fleet
from gaugecast.learn.online.fleet_learner import FleetLearner, why_spared
from gaugecast.learn.online.follower import Follower
from gaugecast.ledger import copying
from gaugecast.model import Layer, Model
from gaugecast.pipeline import Pipeline
from gaugecast.testing import random_model
from learning.site import Site
from learning.worlds import FLEET, configured, event, small_model

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("plain_updates")]


def follow_all(follower: Follower) -> None:
    """Up to the ledger's end."""
    while follower.take_slice(7):
        pass


def back_up(directory: Path) -> None:
    """A copy of the ledger in a folder `backup` beside it."""
    (directory / "backup").mkdir()
    copying.copy(directory, directory / "backup")


def states(pipeline: Pipeline, stream: str) -> bytes:
    """Everything that the model in force remembers of a stream."""
    part = pipeline.parts["tanks"]
    assert part.in_force is not None
    slot = part.table.slots[stream]
    return b"".join(part.in_force.columns[name][slot].tobytes() for name in ("state", "stats", "next", "warm"))


def test_where_weights_are_in_force_the_states_are_the_loops_own(site: Site) -> None:
    """To the bit, through hand-overs, gaps and a reset."""
    follower = site.follower()
    site.install(small_model(1))
    site.run(20, "abc")
    site.install(small_model(2))
    site._tick += 2
    site.run(5, "abc")
    site.commit(event(events.StreamsReset()))
    site.run(5, "abc")
    follow_all(follower)
    assert follower.seq == site.ledger.last_seq
    assert [states(follower.pipeline, s) for s in "abc"] == [states(site.loop, s) for s in "abc"]


def test_a_new_fleet_begins_with_weights_of_its_own_that_the_loop_has_not(site: Site) -> None:
    """Not forced: what it hands over goes on trial."""
    follower = site.follower()
    site.run(5)
    follow_all(follower)
    assert follower.pipeline.parts["tanks"].in_force is not None
    assert not follower.learners["tanks"].forced


def test_a_learner_that_starts_again_goes_on_from_what_is_in_force(site: Site) -> None:
    """Or from what is on trial, if nothing is."""
    site.install(small_model(1), "shadow")
    on_trial = site.follower()
    follow_all(on_trial)
    site.commit(event(events.ShadowPromoted(small_model(1).manifest.version)))
    site.checkpoint = len(site.inputs)
    in_force = site.follower()
    assert in_force.learners["tanks"].forced
    assert in_force.learners["tanks"].model.manifest.version == small_model(1).manifest.version


def test_a_rollback_takes_the_learner_back_with_a_smaller_rate(site: Site) -> None:
    """Its weights are again those that the loop has."""
    follower = site.follower()
    site.install(small_model(1))
    follow_all(follower)
    fleet_learner = follower.learners["tanks"]
    base = fleet_learner.rate.rate
    site.run(12)
    follow_all(follower)
    assert fleet_learner.learn()
    site.install(small_model(2), reason=events.ROLLBACK)
    follow_all(follower)
    assert follower.learners["tanks"] is fleet_learner
    assert fleet_learner.rate.rate < base
    assert not fleet_learner.ready(1e9), "expected what was learned from the bad weights to be dropped"
    assert network_equals(fleet_learner, small_model(2))


def network_equals(fleet_learner: FleetLearner, model: Model) -> bool:
    """Whether the learner goes on from just these weights."""
    weights = fleet_learner.feeder.trainer._network.to_model().weights
    return all(np.array_equal(weights[name], model.weights[name]) for name in model.weights)


def test_a_model_that_somebody_else_put_in_force_is_learned_on_not_overwritten(site: Site) -> None:
    """Promoted from a shadow that was imported: the learner goes on from it."""
    follower = site.follower()
    site.install(small_model(1))
    site.install(small_model(7), "shadow", "asked")
    follow_all(follower)
    assert not network_equals(follower.learners["tanks"], small_model(7))
    site.commit(event(events.ShadowPromoted(small_model(7).manifest.version)))
    follow_all(follower)
    assert network_equals(follower.learners["tanks"], small_model(7))
    assert follower.pipeline.parts["tanks"].in_force.version == small_model(7).manifest.version  # type: ignore[union-attr]


def test_a_promoted_model_of_another_shape_gets_a_new_learner(site: Site) -> None:
    """Other weights, other moments."""
    follower = site.follower()
    site.install(small_model(1))
    site.install(small_model(7, units=6), "shadow", "asked")
    site.commit(event(events.ShadowPromoted(small_model(7, units=6).manifest.version)))
    follow_all(follower)
    assert network_equals(follower.learners["tanks"], small_model(7, units=6))


def test_weights_that_are_gone_do_not_stop_the_learner(site: Site) -> None:
    """The event names what was deleted since."""
    follower = site.follower()
    site.install(small_model(1))
    site.install(small_model(2))
    (site.store.place("tanks", small_model(1).manifest.version) / "model.json").unlink()
    site.store._cache.clear()
    site.run(10)
    follow_all(follower)
    assert follower.pipeline.parts["tanks"].in_force.version == small_model(2).manifest.version  # type: ignore[union-attr]


def test_behind_retention_it_jumps_to_the_checkpoint_and_keeps_what_it_has_learned(site: Site) -> None:
    """Rows that are gone are skipped; no step is paired across the jump."""
    follower = site.follower()
    site.install(small_model(1))
    site.run(20)
    follow_all(follower)
    fleet_learner = follower.learners["tanks"]
    assert fleet_learner.learn()
    updates = fleet_learner.updates_total
    site.run(40)
    site.checkpoint = len(site.inputs) - 5
    with site.ledger._transaction():
        site.ledger._connection.execute("DELETE FROM batches WHERE first_seq + inputs <= ?", (site.checkpoint - 2,))
    follow_all(follower)
    assert follower.seq == site.ledger.last_seq
    assert follower.learners["tanks"] is fleet_learner
    assert fleet_learner.updates_total == updates
    assert states(follower.pipeline, "a") == states(site.loop, "a")
    track = fleet_learner.feeder.trainer._tracks["a"]
    assert track.runs == 2, "expected a new run after the jump"


@pytest.mark.parametrize("ticks_after", [1, 90], ids=["behind", "beyond"])
def test_a_restored_backup_is_begun_anew(site: Site, tmp_path: Path, ticks_after: int) -> None:
    """Whether it has grown past our place meanwhile or not: its weights, its states, its rows from the first."""
    site.install(small_model(1))
    site.run(20)
    back_up(tmp_path)
    follower = site.follower()
    site.run(30)
    site.install(small_model(2))
    follow_all(follower)
    learned = follower.learners["tanks"]
    while learned.learn():
        pass
    site.bring_back(tmp_path / "backup")
    site.run(ticks_after)
    follow_all(follower)
    assert follower.seq == site.ledger.last_seq
    assert follower.learners["tanks"] is not learned
    assert follower.pipeline.parts["tanks"].in_force.version == small_model(1).manifest.version  # type: ignore[union-attr]
    assert states(follower.pipeline, "a") == states(site.loop, "a")
    assert network_equals(follower.learners["tanks"], small_model(1))
    site.run(10)
    follow_all(follower)
    assert follower.learners["tanks"].learn()


def test_a_backup_restored_before_the_sample_is_drawn_anew_is_begun_anew(site: Site, tmp_path: Path) -> None:
    """Going back to the newest checkpoint would mix two ledgers."""
    back_up(tmp_path)
    follower = site.follower()
    site.run(20, "abcdefgh")
    follow_all(follower)
    follower.learners["tanks"].crowded = True
    site.bring_back(tmp_path / "backup")
    follower.resample()
    assert follower.seq == 0
    assert follower.learners == {}


def test_a_fleet_that_left_has_no_learner(site: Site) -> None:
    """Its readings are no longer there either."""
    follower = site.follower()
    site.run(3)
    site.commit(event(events.FleetRetired()))
    follow_all(follower)
    assert follower.learners == {}


def test_several_fleets_have_a_learner_each(site: Site) -> None:
    """Models of the one never reach the other."""
    other = Fleet(**{**_fields(FLEET), "name": "ships"})
    site.commit(configured(other))
    follower = site.follower()
    site.run(8)
    site.run(8, fleet="ships")
    site.install(small_model(1))
    follow_all(follower)
    assert set(follower.learners) == {"tanks", "ships"}
    assert follower.learners["tanks"].forced
    assert not follower.learners["ships"].forced
    assert set(follower.pipeline.parts["ships"].table.slots) == {"a"}


def _fields(fleet: Fleet) -> dict[str, Any]:
    return {name: getattr(fleet, name) for name in fleet.__dataclass_fields__}


def test_no_more_streams_are_stepped_than_are_sampled(tmp_path: Path) -> None:
    """Ten thousand would cost what the loop costs."""
    site = Site(tmp_path, streams=3)
    site.commit(configured())
    follower = site.follower()
    site.run(6, "abcdefgh")
    follow_all(follower)
    assert set(follower.pipeline.parts["tanks"].table.slots) == set("abc")
    assert follower.learners["tanks"].crowded


def test_a_new_sample_comes_with_the_loops_states_and_is_learned_once(tmp_path: Path) -> None:
    """From the checkpoint on; those that stay go on where they were."""
    site = Site(tmp_path, streams=4)
    site.commit(configured())
    site.install(small_model(1))
    follower = site.follower()
    site.run(20, "abcdefgh")
    site.checkpoint = len(site.inputs)
    site.run(6, "abcdefgh")
    follow_all(follower)
    fleet_learner = follower.learners["tanks"]
    before, counts = set(fleet_learner.streams), {s: t.count for s, t in fleet_learner.feeder.trainer._tracks.items()}
    follower.resample()
    newcomers = fleet_learner.streams - before
    assert len(fleet_learner.streams) == 4
    assert newcomers
    assert len(fleet_learner.streams & before) >= 2
    site.run(1, "abcdefgh")
    follow_all(follower)
    assert {s: states(follower.pipeline, s) for s in fleet_learner.streams} == {
        s: states(site.loop, s) for s in fleet_learner.streams
    }
    tracks = fleet_learner.feeder.trainer._tracks
    assert set(tracks) == fleet_learner.streams
    assert {tracks[s].count for s in newcomers} == {6}
    assert all(tracks[s].count == counts[s] + 1 for s in fleet_learner.streams & before)
    assert all(tracks[s].runs == 1 for s in fleet_learner.streams)


def test_a_new_sample_of_one_fleet_teaches_no_other_anything_twice(tmp_path: Path) -> None:
    """The fleet that is sampled whole only goes through the same inputs again."""
    site = Site(tmp_path, streams=2)
    site.commit(configured(), configured(Fleet(**{**_fields(FLEET), "name": "ships"})))
    follower = site.follower()
    site.run(6, "abcd")
    site.run(6, "x", "ships")
    site.checkpoint = len(site.inputs) - 4
    follow_all(follower)
    ships = follower.learners["ships"].feeder
    count = ships.trainer._tracks["x"].count
    follower.resample()
    site.run(1, "x", "ships")
    follow_all(follower)
    assert ships.trainer._tracks["x"].count == count + 1
    assert follower.seq == site.ledger.last_seq


def test_a_sample_is_half_kept_half_drawn_by_error() -> None:
    """Where one stream has all the error, it is drawn; those that are gone are dropped."""
    fleet_learner = FleetLearner(FLEET, small_model(), Learning(streams=4), forced=True, compiled=False)
    for stream in "abcd":
        fleet_learner.wants(stream)
    candidates = [*"bcd", *(f"s{i}" for i in range(100))]
    error = np.array([0.0 if name != "s77" else 1e6 for name in candidates])
    newcomers = fleet_learner.resample(candidates, error)
    assert "s77" in newcomers
    assert len(fleet_learner.streams & {*"bcd"}) == 2
    assert "a" not in fleet_learner.streams
    assert len(fleet_learner.streams) == 4


def test_every_stream_may_be_drawn_even_without_error() -> None:
    """A stream that nothing is known of must not be left out for ever."""
    fleet_learner = FleetLearner(FLEET, small_model(), Learning(streams=2), forced=True, compiled=False)
    drawn: set[str] = set()
    names = [f"s{i}" for i in range(6)]
    for _ in range(60):
        fleet_learner.resample(names, np.full(6, np.nan))
        drawn |= fleet_learner.streams
    assert drawn == set(names)


def test_what_has_a_look_back_or_other_cells_is_not_learned_beside_the_loop() -> None:
    """Truncated BPTT from a carried state would be another model; the learner's network has LSTM layers only."""
    model = small_model()
    windowed = type(model.manifest)(**{**_manifest(model), "look_back": 8})
    repeated = type(model.manifest)(**{**_manifest(model), "decoder": (Layer(3),), "decode_steps": 4})
    assert why_spared(model.manifest) == ""
    assert why_spared(windowed) == "a look-back of 8 steps"
    assert why_spared(repeated) == "a repeat decoder of 4 steps"
    other = random_model("tanks", layers=[Layer(2, cell="gru")], engine="tensorflow")
    assert "tensorflow" in why_spared(other.manifest)


def _manifest(model: Model) -> dict[str, Any]:
    return {name: getattr(model.manifest, name) for name in model.manifest.__dataclass_fields__}
