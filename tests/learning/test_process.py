"""The learner process: when it hands over, what it reports, how it rests and hurries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gaugecast import events
from gaugecast.errors import CommandRefused, ModelError, StorageError, Unreachable
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.learn.online.trainer import LEARNING_RATE
from gaugecast.model import seal_model
from gaugecast.status import LearnerStatus
from learning.site import Site
from learning.worlds import configured, event, small_model

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("plain_updates")]


def learner_of(site: Site, **learning: object) -> LearnerProcess:
    """A learner with other settings."""
    changed = site.settings.learning.model_copy(update=learning)
    site.settings = site.settings.model_copy(update={"learning": changed})
    return site.learner()


def turns(site: Site, learner: LearnerProcess, count: int) -> None:
    """So many turns, each a second later."""
    for _ in range(count):
        site.now_s += 1.0
        learner.turn()


def live(site: Site, learner: LearnerProcess, ticks: int) -> None:
    """A tick a second, and a turn after each."""
    for _ in range(ticks):
        site.run(1)
        turns(site, learner, 1)


def test_first_weights_go_on_trial_after_enough_updates_then_every_so_often(site: Site) -> None:
    """Each is on the disk before the loop hears of it."""
    learner = site.learner()
    live(site, learner, 40)
    assert learner.follower.learners["tanks"].updates_total > 3
    assert {role for role, _ in site.handed} == {"shadow"}
    assert len(site.handed) > 2
    for _, version in site.handed:
        made = site.store.load("tanks", version).manifest
        assert made.provenance["made_by"] == "gaugecast learn"


def test_where_weights_are_in_force_the_next_go_in_force(site: Site) -> None:
    """No trial for what goes on from them."""
    learner = site.learner()
    site.install(small_model(1))
    live(site, learner, 30)
    assert {role for role, _ in site.handed} == {"in_force"}


def test_after_its_promotion_the_learners_weights_go_in_force(site: Site) -> None:
    """It recognises its own version."""
    learner = site.learner()
    live(site, learner, 30)
    version = site.handed[-1][1]
    site.commit(event(events.ModelInstalled("shadow", version)), event(events.ShadowPromoted(version)))
    fleet_learner = learner.follower.learners["tanks"]
    live(site, learner, 20)
    assert learner.follower.learners["tanks"] is fleet_learner
    assert site.handed[-1][0] == "in_force"


def test_a_model_that_cannot_be_learned_is_left_in_peace_and_spoken_of(site: Site) -> None:
    """No hand-over; a report all the same, so that the loop does not take the learner for hung; until another comes."""
    learner = site.learner()
    windowed = small_model(1)
    site.install(seal_model(replace(windowed.manifest, look_back=5), dict(windowed.weights)))
    live(site, learner, 20)
    assert site.handed == []
    assert learner.follower.learners == {}
    reports = [one for one in site.asked if one["command"] == "learner"]
    assert len(reports) >= 15
    assert LearnerStatus(**{k: v for k, v in reports[-1].items() if k not in ("command", "fleet")}).spared == (
        "a look-back of 5 steps"
    )
    site.install(small_model(2))
    live(site, learner, 20)
    assert {role for role, _ in site.handed} == {"in_force"}
    assert "spared" not in site.asked[-1]


@pytest.mark.parametrize(
    "refusal",
    [
        Unreachable("the loop is down"),
        *(pytest.param(one, marks=pytest.mark.long) for one in (CommandRefused("ask again"), ModelError("poison"))),
    ],
)
def test_a_hand_over_that_fails_is_counted_and_offered_again_later(site: Site, refusal: Exception) -> None:
    """What was learned is not lost."""
    learner = site.learner()
    site.refusal = refusal
    live(site, learner, 30)
    fleet_learner = learner.follower.learners["tanks"]
    assert fleet_learner.failures_total > 0
    assert fleet_learner.handovers_total == 0
    site.refusal = None
    turns(site, learner, 3)
    assert fleet_learner.handovers_total == 1


def test_a_full_disk_is_a_failed_hand_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The learner goes on learning, and hands over when there is room."""

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    learner = site.learner()
    monkeypatch.setattr(site.store, "add", full)
    live(site, learner, 30)
    fleet_learner = learner.follower.learners["tanks"]
    assert fleet_learner.failures_total > 0
    assert site.handed == []
    monkeypatch.undo()


def test_the_rate_that_is_reported_is_the_one_that_is_learned_with(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that leap raise it, and the drift is counted; losses that stand still lower it."""
    learner = site.learner()
    site.install(small_model(1))
    live(site, learner, 12)
    fleet_learner = learner.follower.learners["tanks"]

    def after(losses: list[float]) -> dict[str, Any]:
        told = iter([losses])
        monkeypatch.setattr(fleet_learner.feeder, "take_losses", lambda: next(told, []))
        live(site, learner, 3)
        report = [one for one in site.asked if one["command"] == "learner"][-1]
        assert report["rate"] == fleet_learner.rate.rate == pytest.approx(fleet_learner.feeder.trainer.learning_rate)
        return dict(report)

    calm = after([1.0, 0.9, 1.1] * 100)
    assert calm["drift_total"] == 0
    raised = after([20.0, 21.0] * 50)
    assert raised["drift_total"] >= 1
    assert raised["rate"] == pytest.approx(1.5 * LEARNING_RATE)
    assert after([5.0] * 3000)["rate"] < LEARNING_RATE


def test_it_reports_once_a_second_what_the_metrics_show(site: Site) -> None:
    """Updates, failures, drifts, hand-overs, rate and lag."""
    learner = site.learner()
    live(site, learner, 20)
    reports = [one for one in site.asked if one["command"] == "learner"]
    assert len(reports) >= 20
    assert set(reports[-1]) == {
        *("command", "fleet", "updates_total", "failures_total", "drift_total", "handovers_total", "rate", "lag_s"),
        *("updates_wanted", "steps_left"),
    }
    assert reports[-1]["updates_total"] == learner.follower.learners["tanks"].updates_total


def test_the_rest_after_a_turn_pays_the_budget_back(tmp_path: Path) -> None:
    """A fifth of a core: four times as much rest as work, but no compilation is paid back for ever."""
    site = Site(tmp_path, cpu=0.2)
    site.commit(configured())
    spent = iter([0.0, 0.01, 1.0, 9.0, 9.0, 9.0])
    learner = LearnerProcess(
        site.settings,
        reader=site.reader,
        restore=site.restore,
        store=site.store,
        ask=site.ask,
        seconds=lambda: 0.0,
        cpu_s=lambda: next(spent),
    )
    learner.follower.begin()
    site.run(1)
    assert learner.turn() == pytest.approx(0.04)
    site.run(2)
    assert learner.turn() == 0.25


def test_a_ledger_that_cannot_be_read_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half restored, say: the learner neither ends nor spins, and follows from a checkpoint once there is one again."""
    learner = site.learner()
    site.run(8)
    rests: list[float] = []
    last = site.reader.renew

    def torn() -> bool:
        raise StorageError("database disk image is malformed")

    def sleep(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            monkeypatch.setattr(site.reader, "renew", torn)
        elif len(rests) == 5:
            monkeypatch.setattr(site.reader, "renew", last)
        learner.stopping = learner.stopping or learner.follower.seq == site.ledger.last_seq
        assert len(rests) < 200

    learner._sleep = sleep
    learner.run()
    assert rests[3:5] == [5.0, 5.0]
    assert learner.follower.seq == site.ledger.last_seq


def test_far_behind_it_takes_large_slices_and_learns_from_some(site: Site) -> None:
    """To be of today matters more than to learn from every step."""
    learner = site.learner()
    site.install(small_model(1))
    site.run(300)
    took = 0
    while learner.follower.seq < site.ledger.last_seq:
        turns(site, learner, 1)
        took += 1
    assert took < 20


def test_while_readings_are_few_each_is_learned_from_many_times(site: Site) -> None:
    """A sensor that speaks once an hour is not waited for; what is in force learns at the pace of its readings."""
    learner = learner_of(site, shadow_after=60)
    live(site, learner, 16)
    taught = learner.follower.learners["tanks"]
    assert taught.updates_total > 60, "expected more updates than readings"
    assert taught.handovers_total > 0
    site.install(small_model(1))
    live(site, learner, 20)
    forced = learner.follower.learners["tanks"]
    assert forced.forced
    assert forced.updates_total - taught.updates_total * (forced is taught) <= 20


def test_weights_on_trial_are_renewed_when_a_quarter_more_was_learned(site: Site) -> None:
    """Not only every so often: the first ones know little. In force they keep their time."""
    learner = learner_of(site, every_s=1e6)
    live(site, learner, 30)
    taught = learner.follower.learners["tanks"]
    assert 3 <= taught.handovers_total <= 30
    count = len(site.handed)
    site.install(small_model(1))
    live(site, learner, 30)
    assert len(site.handed) <= count + 1


def test_the_way_to_the_first_trial_is_told(site: Site) -> None:
    """So many updates of so many, and so many readings until then; nothing of it once the model is on trial."""
    learner = learner_of(site, shadow_after=40)
    live(site, learner, 3)
    told = [one for one in site.asked if one["command"] == "learner"][-1]
    assert (told["updates_total"], told["updates_wanted"]) == (0, 40)
    assert 5 <= told["steps_left"] <= 8
    live(site, learner, 40)
    told = [one for one in site.asked if one["command"] == "learner"][-1]
    assert (told["updates_wanted"], told["steps_left"]) == (None, None)


def test_it_says_so_before_it_is_long(site: Site) -> None:
    """Loading TensorFlow, and compiling: silence then is no silence."""
    learner = site.learner()
    learner._sleep = lambda _s: setattr(learner, "stopping", True)
    learner.run()
    assert {"command": "learner", "fleet": "tanks", "doing": "starting"} in site.asked
    learner.stopping = False
    taught = learner.follower.learners["tanks"]
    taught.feeder.trainer._uncompiled.add(taught.feeder.trainer._segments)
    live(site, learner, 12)
    assert [one["doing"] for one in site.asked if one.get("doing") == "compiling"] == ["compiling"]


def test_a_reading_a_minute_is_no_reason_to_hurry(site: Site) -> None:
    """Each is a minute newer than the one before, and all the time in the world is there to learn from it."""
    learner = learner_of(site, shadow_after=60)
    learner.follower.newest_ns = 1
    for _ in range(16):
        site.run(1)
        learner.follower.newest_ns -= 60 * 10**9
        turns(site, learner, 1)
    assert learner.follower.learners["tanks"].updates_total > 30, "expected more than one update a reading"
