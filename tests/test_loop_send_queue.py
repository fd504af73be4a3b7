"""What waits to be sent: in order, in runs that share their flags, never more at once than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gaugecast.loop.send_queue import SendQueue

_FLAGS = st.tuples(st.sampled_from([0, 1]), st.booleans())


@given(added=st.lists(st.lists(_FLAGS, max_size=6), max_size=5), rooms=st.lists(st.integers(1, 4), min_size=40))
def test_all_that_waits_comes_out_once_in_order_and_under_its_own_flags(
    added: list[list[tuple[int, bool]]], rooms: list[int]
) -> None:
    """However it was added and whatever room there is; a run never mixes flags."""
    queue, wanted = SendQueue(), list[tuple[int, str, bytes, int, bool]]()
    for flags in added:
        positions = range(len(wanted), len(wanted) + len(flags))
        rows = [(n, f"t{n}", b"%d" % n, *flag) for n, flag in zip(positions, flags, strict=True)]
        queue.add(positions, [row[1] for row in rows], [row[2] for row in rows], flags=flags)
        wanted += rows
    assert (len(queue), queue.size) == (len(wanted), sum(len(row[2]) for row in wanted))
    got = list[tuple[int, str, bytes, int, bool]]()
    for room in rooms:
        if len(queue):
            qos, run = queue.qos, queue.take(room)
            assert run.qos == qos
            assert 0 < len(run) <= room
            columns = zip(run.positions, run.topics, run.bodies, strict=True)
            got += [(*row, run.qos, run.retain) for row in columns]
    assert got == wanted[: len(got)]
    rest = wanted[len(got) :]
    assert (len(queue), queue.size) == (len(rest), sum(len(row[2]) for row in rest))
