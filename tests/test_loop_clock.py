"""Arrival stamps: they follow the wall clock forwards, and back as far as it had run ahead, and tell of each step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.loop.clock import EARLIEST_NS, FAR_NS, STEP_NS, ArrivalClock, Past
from gaugecast.records import LAST_NS, Input

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
YEAR = 365 * 86_400 * SECOND
NOW = EARLIEST_NS + YEAR // 2


class Machine:
    """A machine with a wall clock that can be set, and one that cannot."""

    def __init__(self, wall_ns: int = NOW) -> None:
        self.wall_ns, self.elapsed_ns = wall_ns, 0

    def pass_time(self, ns: int, *, set_by: int = 0) -> None:
        """Time passes; somebody moves the wall clock."""
        self.elapsed_ns += ns
        self.wall_ns += ns + set_by

    def clock(self, past: Past | None = None) -> ArrivalClock:
        """The loop's clock on this machine; unless told otherwise the daemon has just been here."""
        past = Past(self.wall_ns, 0, self.wall_ns - 30 * FAR_NS) if past is None else past
        return ArrivalClock(past, wall=lambda: self.wall_ns, elapsed=lambda: self.elapsed_ns)


def test_it_follows_the_wall_clock() -> None:
    """Stamps are Unix time as long as nothing odd happens."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(3 * SECOND)
    assert clock.stamp() == NOW + 3 * SECOND
    assert clock.latest == NOW + 3 * SECOND
    assert clock.stepped_ns == 0


@pytest.mark.parametrize("back", [HOUR, YEAR, 100 * YEAR])
def test_a_clock_that_is_set_back_goes_on_at_the_pace_of_time(back: int) -> None:
    """Stamps rise by what has passed, and follow the wall again when it is right."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(5 * SECOND, set_by=-back)
    assert clock.stamp() == NOW + 5 * SECOND
    assert clock.stepped_ns == 0
    machine.pass_time(5 * SECOND, set_by=back + SECOND)
    assert clock.stamp() == NOW + 11 * SECOND
    assert clock.stepped_ns == 0


@pytest.mark.parametrize("step", [HOUR, YEAR])
def test_one_wrong_tick_is_taken_back(step: int) -> None:
    """Ahead for four seconds: followed, told, and all of it taken back, told again."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(SECOND, set_by=step)
    assert clock.stamp() == NOW + step + SECOND
    assert clock.stepped_ns == step
    machine.pass_time(4 * SECOND, set_by=-step)
    assert clock.stamp() == NOW + 5 * SECOND
    assert clock.stepped_ns == -step
    machine.pass_time(SECOND)
    assert clock.stamp() == NOW + 6 * SECOND
    assert clock.stepped_ns == 0


def test_a_correction_that_goes_a_little_too_far_ends_at_what_is_known() -> None:
    """Stamps never say less than what the elapsed time makes of the last right one."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(0, set_by=YEAR)
    clock.stamp()
    machine.pass_time(SECOND, set_by=-YEAR - HOUR)
    assert clock.stamp() == NOW + SECOND
    assert clock.stepped_ns == -YEAR


def test_small_corrections_are_not_told() -> None:
    """NTP's ordinary work; a small step back is waited out."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(SECOND, set_by=STEP_NS)
    assert clock.stamp() == NOW + SECOND + STEP_NS
    assert clock.stepped_ns == 0
    machine.pass_time(SECOND, set_by=-STEP_NS)
    assert clock.stamp() == NOW + 2 * SECOND + STEP_NS
    assert clock.stepped_ns == 0


def test_a_time_after_all_times_is_none() -> None:
    """A century ahead is beyond what a reading may be dated; stamps go on as if the clock had not been set."""
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(SECOND, set_by=100 * YEAR)
    assert machine.wall_ns > LAST_NS
    assert clock.stamp() == NOW + SECOND
    assert machine.clock(Past(NOW)).stamp() == NOW


# -- what earlier processes say


def test_a_restart_after_the_clock_was_set_back_does_not_go_below_the_ledger() -> None:
    """The newest stored stamp is the floor."""
    machine = Machine()
    clock = machine.clock(Past(NOW + HOUR))
    machine.pass_time(SECOND)
    assert clock.stamp() == NOW + HOUR + SECOND


def test_a_step_that_another_process_took_is_taken_back() -> None:
    """The wrong tick, a `kill -9`, and a restart under the right clock."""
    machine = Machine()
    clock = machine.clock(Past(NOW - SECOND + HOUR, ahead_ns=HOUR))
    machine.pass_time(SECOND)
    assert clock.stamp() == NOW + SECOND
    assert clock.stepped_ns == SECOND - HOUR


def test_a_clock_that_was_wrong_at_the_start_is_followed_back() -> None:
    """What passed while nobody ran may turn out not to have passed: a battery that was empty, then NTP."""
    machine = Machine(NOW + YEAR)
    clock = machine.clock(Past(NOW))
    assert clock.stamp() == NOW + YEAR
    assert clock.stepped_ns == 0
    machine.pass_time(SECOND, set_by=-YEAR)
    assert clock.stamp() == NOW + SECOND
    assert clock.stepped_ns == -YEAR


def test_the_very_first_process_may_have_begun_under_a_wrong_clock() -> None:
    """It is followed back as far as this code has existed, and no further."""
    machine = Machine(NOW + YEAR)
    clock = machine.clock(Past())
    machine.pass_time(SECOND, set_by=-YEAR)
    assert clock.stamp() == NOW + SECOND
    machine.pass_time(SECOND, set_by=-YEAR)
    assert clock.stamp() == NOW + 2 * SECOND


def test_a_ledger_that_is_a_year_ahead_is_not_believed_against_a_clock_that_is_possible() -> None:
    """Nobody sets a clock back by more than a day, to a moment that the ledger has seen, unless it was wrong."""
    machine = Machine()
    clock = machine.clock(Past(NOW + YEAR, 0, NOW - 10 * FAR_NS))
    machine.pass_time(SECOND)
    assert clock.stamp() == NOW + SECOND
    assert machine.clock(Past(NOW + YEAR, 0, NOW + FAR_NS)).stamp() == NOW + YEAR


class Rows:
    """A ledger with inputs at these stamps; the first has seq `first_seq`."""

    def __init__(self, stamps: list[int], first_seq: int = 1) -> None:
        self.first_seq, self.last_seq = first_seq, first_seq + len(stamps) - 1
        self._stamps = stamps

    def replay(self, after_seq: int, *, most: int = 2000, upto_seq: int | None = None) -> Iterator[object]:
        """As `Ledger.replay`, for one."""
        inputs = [Input.timer(stamp) for stamp in self._stamps[max(0, after_seq + 1 - self.first_seq) :][:most]]
        if inputs:
            yield type("Batch", (), {"inputs": inputs})


def test_what_is_read_off_a_ledger() -> None:
    """The newest row, not the latest stamp; the oldest row counts only where there were others before it."""
    assert Past.of(Rows([]), 0) == Past()  # type: ignore[arg-type]
    assert Past.of(Rows([NOW, NOW + YEAR, NOW + 2]), 7) == Past(NOW + 2, 7)  # type: ignore[arg-type]
    assert Past.of(Rows([NOW, NOW + 2], 5), 0) == Past(NOW + 2, 0, NOW)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, YEAR), st.integers(-YEAR, YEAR)), max_size=30), st.integers(0, 3 * YEAR))
def test_stamps_never_decrease_without_a_word(moves: list[tuple[int, int]], ahead: int) -> None:
    """Whatever is done to the clocks, each stamp is the one before, what has passed, and what is told or small."""
    machine = Machine()
    clock = machine.clock(Past(NOW, ahead, NOW - ahead))
    before = clock.latest
    for passed, set_by in moves:
        machine.pass_time(passed, set_by=set_by)
        stamp = clock.stamp()
        assert 0 <= stamp - before - passed - clock.stepped_ns <= (STEP_NS if not clock.stepped_ns else 0)
        before = stamp
