"""One stream out of the ledger, alone, whatever it was called meanwhile: on a ledger of the shipped core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast.config.schema import Loop
from gaugecast.errors import WrongUse
from gaugecast.events import StreamForgotten, StreamRenamed
from gaugecast.ledger.reader import LedgerReader
from gaugecast.pipeline import Pipeline
from gaugecast.records import Order
from gaugecast.service.explaining import Explaining
from gaugecast.service.looking_back import LookingBack
from gaugecast.service.one_stream import OneStream
from gaugecast.testing import T0, LocalDaemon
from support.watched_plant import values_of, written_config

S = 10**9
RESTARTED, RENAMED, AGAIN, MOVED, END = 20, 40, 50, 60, 65
LIMITS = Loop(new_streams_per_s=1e6)


def say(daemon: LocalDaemon, begin: int, end: int, **tanks: int) -> None:
    """Each of these tanks speaks at each of these ticks, the values of its seed."""
    for tick in range(begin, end):
        for name, seed in tanks.items():
            p, q = values_of(seed)[tick].tolist()
            daemon.say(f"plant/{name}", {"t": T0 / 1e9 + tick, "p": p, "q": q}, now_s=T0 / 1e9 + tick)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tank `a` becomes `moved`; later another is called `a`, and ends; a checkpoint lies before and one behind that."""
    config = written_config(tmp_path_factory.mktemp("plant"))
    with LocalDaemon.from_config(config, directory=config.parent / "state") as daemon:
        say(daemon, 0, RESTARTED, a=1, b=2)
        daemon.restart()
        say(daemon, RESTARTED, RENAMED, a=1, b=2)
        daemon.core.order(Order(StreamRenamed("moved"), "tanks", "a"))
        say(daemon, RENAMED, AGAIN, moved=1, b=2)
        say(daemon, AGAIN, MOVED, moved=1, b=2, a=3)
        daemon.restart()
        daemon.core.order(Order(StreamForgotten(), "tanks", "a"))
        say(daemon, MOVED, END, moved=1, b=2)
    return config.parent / "state"


@pytest.fixture
def ledger(state: Path) -> Iterator[LedgerReader]:
    """Of that directory."""
    with LedgerReader(state) as made:
        yield made


def ticks(*at_s: float | None) -> list[int]:
    """Counted from the first."""
    return [round((at or 0.0) - T0 / 1e9) for at in at_s]


def test_a_look_back_goes_on_before_the_renaming(state: Path) -> None:
    """Byte for byte what was published, under the name that it had then."""
    again = LookingBack(state, LIMITS)("tanks", "moved", T0 + 30 * S, T0 + 55 * S)
    assert ticks(*(rows[0].at_s for rows in again.steps)) == list(range(30, 56))
    assert [rows[0].stream for rows in again.steps] == ["a"] * 10 + ["moved"] * 16
    assert (again.differing, again.elsewhere) == (0, False)
    assert again.compared >= 26
    assert [rows[0].observed for rows in again.steps] == values_of(1)[30:56, 0].tolist()


def test_an_explanation_goes_on_before_the_renaming(state: Path) -> None:
    """Steps of both names in one row; nothing differs; the units are the fleet's."""
    found = Explaining(state, LIMITS)("tanks", "moved", T0 + 45 * S, 20)
    assert ticks(*(one.at_s for one in found.moments)) == list(range(26, 46))
    assert found.moments[-1].features["p"].observed == values_of(1)[45, 0]
    assert (found.differing, found.units) == (0, {"p": "bar", "q": ""})


def test_another_stream_of_an_old_name_is_another_stream(state: Path) -> None:
    """Its steps are its own, before the renaming and after; the renamed one has none of them."""
    before = Explaining(state, LIMITS)("tanks", "a", T0 + 35 * S, 10)
    assert before.moments[-1].features["p"].observed == values_of(1)[35, 0]
    after = Explaining(state, LIMITS)("tanks", "a", T0 + END * S, 100)
    assert ticks(after.moments[0].at_s, after.moments[-1].at_s) == [AGAIN, MOVED - 1]
    assert after.moments[0].features["p"].expected is None
    moved = Explaining(state, LIMITS)("tanks", "moved", T0 + 58 * S, 10)
    assert [one.features["p"].observed for one in moved.moments] == values_of(1)[49:59, 0].tolist()
    assert [one.differing for one in (before, after, moved)] == [0, 0, 0]


def test_behind_the_renaming_it_begins_at_the_checkpoint_that_is_nearest(state: Path, ledger: LedgerReader) -> None:
    """It stands there under its new name, and alone."""
    one = OneStream.find(ledger, "tanks", "moved", to_ns=T0 + (END - 1) * S, most=5)
    assert one is not None
    begin = one.restore(state, lambda: Pipeline(LIMITS, lambda _fleet, _version: pytest.fail("no model is in force")))
    assert set(begin.pipeline.parts["tanks"].table.slots) == {"moved"}
    assert begin.seq > 2 * MOVED
    found = Explaining(state, LIMITS)("tanks", "moved", T0 + (END - 1) * S, 5)
    assert (found.differing, len(found.moments)) == (0, 5)


def test_where_there_is_no_reading_there_is_nothing(state: Path, ledger: LedgerReader) -> None:
    """Of a name that nobody had yet, or of a time before the first."""
    assert OneStream.find(ledger, "tanks", "moved", to_ns=T0 + 30 * S, most=5) is None
    assert LookingBack(state, LIMITS)("tanks", "none", T0, T0 + S).steps == []
    with pytest.raises(WrongUse, match="no readings of 'a' up to then"):
        Explaining(state, LIMITS)("tanks", "a", T0 - S, 5)
    # a stretch without a reading is told by the last before it
    (rows,) = LookingBack(state, LIMITS)("tanks", "a", T0 + 62 * S, T0 + 63 * S).steps
    assert ticks(rows[0].at_s) == [MOVED - 1]


def test_what_no_checkpoint_reaches_any_more_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what can be computed still."""
    monkeypatch.setattr("gaugecast.service.one_stream.checkpoints.oldest_exact", lambda *_: 60)
    with pytest.raises(WrongUse, match="inputs from 61 on can be computed again, these begin at"):
        Explaining(state, LIMITS)("tanks", "a", T0 + 25 * S, 5)


def test_what_came_after_an_instant_makes_it_no_farther(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are counted from the checkpoint to the last that is meant."""
    monkeypatch.setattr("gaugecast.service.one_stream.MOST_OWN", 10)
    looking = LookingBack(state, LIMITS)
    assert len(looking("tanks", "moved", T0 + 62 * S, T0 + 63 * S).steps) == 2  # behind the second checkpoint
    assert len(looking("tanks", "a", T0 + 22 * S, T0 + 25 * S).steps) == 4  # 35 steps of it come later
    with pytest.raises(WrongUse, match="11 steps away, more than 10"):
        looking("tanks", "a", T0 + 30 * S, T0 + 31 * S)
