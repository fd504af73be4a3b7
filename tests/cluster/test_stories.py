"""The protocol among crashes, naps, moves and a network that repeats itself; and five faults that it shows."""

from __future__ import annotations

import pytest

from cluster.mutants import MUTANTS
from cluster.story import run
from cluster.world import Violation
from mutants import applied

_STORIES, _TRIED = 10, 60


@pytest.mark.parametrize("first", range(0, _STORIES, 5))
def test_nothing_is_lost_nor_taken_twice_nor_out_of_order(first: int) -> None:
    """Five stories each: ingests, partitions, nodes die and sleep; the store goes away; answers get lost."""
    for seed in range(first, first + 5):
        run(seed)


def test_ingests_whose_filters_meet_are_refused_at_the_start() -> None:
    """The story goes on with the first alone."""
    assert all(run(seed, overlap=True).refused for seed in range(3))


@pytest.mark.no_cover
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_of_the_cluster_breaks_a_promise(name: str) -> None:
    """One of some stories ends in a `Violation`, or in a partition that finds the order broken."""
    with applied(name, MUTANTS) as mutant:
        assert any(_is_red(seed) for seed in range(_TRIED)), f"unseen: {mutant.breaks}"


def _is_red(seed: int) -> bool:
    try:
        run(seed, overlap=True)
        run(seed)
    except Violation:
        return True
    return False
