"""The simulation behind the tables of docs/scale.md: what must hold of it, and the runs that it is held against."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.sizing import HERE, WISHES, Away, Wish, join_node, lose_database, lose_node, simulate, size

#: The run of docs/scale.md: partitions, ingests, readings a second.
RUN = {"partitions": 4, "ingests": 1, "rate": 400.0}


@pytest.mark.parametrize(
    ("silent_s", "partitions", "ingests", "waited"),
    [(4.7, (0, 1), (), 1425), (2.0, (), (0,), 751), (5.8, range(4), (), 2285)],
    ids=["a node with two of four partitions", "an ingest", "PostgreSQL"],
)
def test_so_many_wait_as_in_the_run(
    silent_s: float, partitions: tuple[int, ...], ingests: tuple[int, ...], waited: int
) -> None:
    """Given how long it was silent, within a fifth."""
    wave = simulate(**RUN, one=HERE, absences=[Away(1.0, 1.0 + silent_s, partitions, ingests)])  # type: ignore[arg-type]
    assert wave.silence_s == pytest.approx(silent_s, abs=0.2)
    assert wave.waiting == pytest.approx(waited, rel=0.2)


def test_a_window_that_is_full_silences_partitions_that_are_there() -> None:
    """One of four away for five seconds: the window of a thousand is full after two and a half; a wide one never is."""
    absences = [Away(1.0, 6.0, [0])]
    narrow = simulate(**RUN, one=HERE, absences=absences)  # type: ignore[arg-type]
    wide = simulate(**RUN, one=replace(HERE, window=100_000), absences=absences)  # type: ignore[arg-type]
    assert narrow.others_s == pytest.approx(2.5, abs=0.3)
    assert wide.others_s < 0.1
    assert wide.waiting == pytest.approx(500, rel=0.05)
    assert narrow.waiting > wide.waiting


@pytest.mark.parametrize("wish", WISHES)
def test_what_is_sized_catches_up(wish: Wish) -> None:
    """Partitions that are half busy work a backlog off about as fast as it came about."""
    sized = size(wish, HERE)
    assert sized.cores <= sized.partitions + sized.ingests
    for wave in (lose_node(wish, HERE), join_node(wish, HERE), lose_database(wish, HERE, 5.0)):
        assert 0.5 < wave.silence_s < wave.caught_up_s + 0.6 < 60.0
