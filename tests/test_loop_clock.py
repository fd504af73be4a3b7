"""Arrival stamps: they never go back, follow the wall clock forwards, and tell when somebody has set it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gaugecast.loop.clock import STEP_NS, ArrivalClock

SECOND = 1_000_000_000
YEAR = 365 * 86_400 * SECOND


class Machine:
    """A machine with a wall clock that can be set, and one that cannot."""

    def __init__(self, wall_ns: int) -> None:
        self.wall_ns, self.elapsed_ns = wall_ns, 0

    def pass_time(self, ns: int, *, set_by: int = 0) -> None:
        """Time passes; somebody moves the wall clock."""
        self.elapsed_ns += ns
        self.wall_ns += ns + set_by

    def clock(self, after_ns: int = 0) -> ArrivalClock:
        """The loop's clock on this machine."""
        return ArrivalClock(after_ns, wall=lambda: self.wall_ns, elapsed=lambda: self.elapsed_ns)


def test_it_follows_the_wall_clock() -> None:
    """Stamps are Unix time as long as nothing odd happens."""
    machine = Machine(1000 * SECOND)
    clock = machine.clock()
    machine.pass_time(3 * SECOND)
    assert clock.stamp() == 1003 * SECOND
    assert clock.latest == 1003 * SECOND
    assert clock.stepped_ns == 0


def test_a_clock_that_is_set_back_goes_on_at_the_pace_of_time() -> None:
    """A year back: stamps rise by what has passed, and follow the wall again when it has caught up."""
    machine = Machine(2 * YEAR)
    clock = machine.clock()
    machine.pass_time(5 * SECOND, set_by=-YEAR)
    assert clock.stamp() == 2 * YEAR + 5 * SECOND
    machine.pass_time(5 * SECOND, set_by=YEAR + SECOND)
    assert clock.stamp() == 2 * YEAR + 11 * SECOND
    assert clock.stepped_ns == 0


def test_a_clock_that_is_set_forward_is_told_once() -> None:
    """A year ahead: the stamp follows, and says by how much; NTP's small corrections are not told."""
    machine = Machine(YEAR)
    clock = machine.clock()
    machine.pass_time(SECOND, set_by=YEAR)
    assert clock.stamp() == 2 * YEAR + SECOND
    assert clock.stepped_ns == YEAR
    machine.pass_time(SECOND, set_by=STEP_NS)
    clock.stamp()
    assert clock.stepped_ns == 0


def test_a_restart_after_the_clock_was_set_back_does_not_go_below_the_ledger() -> None:
    """The newest stored stamp is the floor."""
    machine = Machine(YEAR)
    clock = machine.clock(after_ns=2 * YEAR)
    machine.pass_time(SECOND)
    assert clock.stamp() == 2 * YEAR + SECOND


@given(st.lists(st.tuples(st.integers(0, YEAR), st.integers(-YEAR, YEAR)), max_size=30), st.integers(0, 3 * YEAR))
def test_stamps_never_decrease(moves: list[tuple[int, int]], after_ns: int) -> None:
    """Whatever is done to the clocks."""
    machine = Machine(YEAR)
    clock = machine.clock(after_ns)
    before = after_ns
    for passed, set_by in moves:
        machine.pass_time(passed, set_by=set_by)
        stamp = clock.stamp()
        assert stamp >= before
        before = stamp
