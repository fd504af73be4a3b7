"""A fleet without a model is learned from what the ledger holds, and its first model goes on trial warm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gaugecast.learn.online.process import LearnerProcess
from gaugecast.pipeline import memories
from learning.site import Site
from learning.worlds import configured, small_model

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("plain_updates")]

#: Shadow only after so many updates that no test reaches them unasked.
_NEVER = 10_000


def grown_up(directory: Path, ticks: int, *, streams: str = "ab", sampled: int = 64, **learning: Any) -> Site:
    """A daemon that has run without a learner, its newest checkpoint at the ledger's end."""
    site = Site(directory, streams=sampled, **learning)
    site.commit(configured())
    site.run(ticks, streams)
    site.checkpoint = len(site.inputs)
    return site


def turn_until_present(learner: LearnerProcess, site: Site) -> None:
    """Turns of no time, so that nothing is handed over for being due."""
    while learner.follower.in_the_past:
        learner.turn()


def warm_steps(chunks: Sequence[bytes]) -> dict[str, int]:
    """By stream, the steps that a memory is of, as a pipeline with such a model on trial sees them."""
    return {kept.stream: len(kept.row) for chunk in chunks for kept in memories.decode(chunk).streams}


def test_the_past_is_learned_before_anything_new_comes(tmp_path: Path) -> None:
    """As densely as if the learner had been there: an update every two steps of a stream."""
    site = grown_up(tmp_path, 100, shadow_after=_NEVER)
    learner = site.learner()
    assert learner.follower.seq == site.ledger.last_seq
    assert learner.follower.in_the_past
    turn_until_present(learner, site)
    assert learner.follower.learners["tanks"].updates_total > 60


def test_the_states_at_the_end_of_the_past_are_those_of_all_of_it(tmp_path: Path) -> None:
    """What is followed from then on goes on from there, not from nothing."""
    site = grown_up(tmp_path, 100, shadow_after=_NEVER)
    learner = site.learner()
    turn_until_present(learner, site)
    site.run(3, "ab")
    for _ in range(5):
        learner.turn()
    part = learner.follower.pipeline.parts["tanks"]
    assert part.in_force is not None
    assert [int(part.in_force.columns["warm"][part.table.slots[s]]) for s in "ab"] == [103, 103]


def test_the_first_model_goes_on_trial_with_what_it_remembers_once_and_not_before_the_present(tmp_path: Path) -> None:
    """Of all streams of the sample; the next versions go on from the states that are there."""
    site = grown_up(tmp_path, 100)
    learner = site.learner()
    while learner.follower.in_the_past:
        site.now_s += 1.0
        assert site.handed == []
        learner.turn()
    for _ in range(4):
        site.now_s += 1.0
        site.run(4, "ab")
        learner.turn()
    assert [role for role, _ in site.handed][:2] == ["shadow", "shadow"]
    [(version, chunks)] = site.remembered
    assert version == site.handed[0][1]
    assert sorted(warm_steps(chunks)) == ["a", "b"]


@pytest.mark.long
def test_with_more_streams_than_are_sampled_all_are_warmed(tmp_path: Path) -> None:
    """By a walk over the ledger; the sample alone would leave the others cold."""
    site = grown_up(tmp_path, 100, streams="abcd", sampled=2)
    learner = site.learner()
    turn_until_present(learner, site)
    for _ in range(4):
        site.now_s += 1.0
        site.run(4, "abcd")
        learner.turn()
    assert site.remembered[0][1] == [b"all streams"]


@pytest.mark.long
def test_only_as_much_of_the_past_is_learned_as_is_asked_for(tmp_path: Path) -> None:
    """`learning.history`; at 0 nothing is."""
    counts = []
    for history in (0, 40, 10_000):
        place = tmp_path / str(history)
        place.mkdir()
        site = grown_up(place, 100, shadow_after=_NEVER, history=history)
        learner = site.learner()
        turn_until_present(learner, site)
        counts.append(learner.follower.learners["tanks"].updates_total)
    assert counts[0] == 0
    assert 40 < counts[1] <= 8 * 40, "expected 40 readings to be learned from, each eight times at the most"
    assert counts[2] > 2 * counts[1]


def test_a_fleet_with_a_model_is_not_taught_its_past_again(tmp_path: Path) -> None:
    """Its weights have seen it."""
    site = Site(tmp_path)
    site.commit(configured())
    site.install(small_model(1))
    site.run(50)
    site.checkpoint = len(site.inputs)
    learner = site.learner()
    assert not learner.follower.in_the_past
    assert learner.follower.learners["tanks"].updates_total == 0


@pytest.mark.long
def test_a_young_ledger_without_a_checkpoint_is_learned_whole_too(tmp_path: Path) -> None:
    """However long ago its readings came: no hurry where there is no model yet."""
    site = Site(tmp_path, shadow_after=_NEVER)
    site.commit(configured())
    site.run(100)
    learner = site.learner()
    turn_until_present(learner, site)
    assert learner.follower.learners["tanks"].updates_total > 30
