"""Each deliberate fault turns a story red: the invariants are worth what they have been seen to refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mutants import MUTANTS, applied
from simulation.connections import held_over_a_cut
from simulation.place import empty_place
from simulation.points import Violation
from simulation.story import Story, run

#: What mutants run is no measure of what is tested.
pytestmark = pytest.mark.no_cover

#: The story that shows a mutant first, and fast; where it no longer does, the others are tried.
_SHOWN = {
    "ack_without_commit": 13,
    "anomaly_begins_again": 3,
    "anomaly_chatters": 31,
    "anomaly_ends_unbegun": 3,
    "anomaly_not_in_checkpoint": 3,
    "anomaly_of_another_row": 3,
    "anomaly_outlives_its_stream": 39,
    "anomaly_state_not_in_checkpoint": 23,
    "anomaly_stays_retained": 3,
    "clock_follows_all": 6,
    "clock_owes_nothing": 1,
    "cursor_by_the_other_side": 90,
    "decoder_at_once": 37,
    "drop_held": 8,
    "hearing_not_in_ledger": 2,
    "lag_always_holds": 5,
    "no_delivery_ring": 10,
    "one_side_is_both": 10,
    "step_again": 8,
    "steps_forgotten": 1,
    "steps_not_in_checkpoint": 6,
    "unsaid_not_in_checkpoint": 5,
}
_TRIED = 80
_NAMES = sorted(name for name, mutant in MUTANTS.items() if mutant.simulated)


@pytest.mark.parametrize("name", _NAMES)
def test_a_mutant_breaks_an_invariant(name: str) -> None:
    """One of a few stories ends in a `Violation`, not in some other error."""
    seeds = [_SHOWN.get(name, 0), *range(_TRIED)]
    with applied(name) as mutant:
        assert any(_is_red(seed) for seed in seeds), f"unseen: {mutant.breaks}"


def test_acks_for_the_connection_before_are_seen() -> None:
    """Where a batch was held while its connection went: without the mutant nothing is wrong."""
    seeds = range(6)
    assert not any(_is_red(seed, held_over_a_cut) for seed in seeds)
    with applied("no_epoch") as mutant:
        assert any(_is_red(seed, held_over_a_cut) for seed in seeds), f"unseen: {mutant.breaks}"


def _is_red(seed: int, trouble: Callable[[Story], None] | None = None) -> bool:
    with empty_place() as place:
        try:
            if trouble is None:
                run(seed, place)
            else:
                story = Story(seed, place)
                try:
                    trouble(story)
                finally:
                    story.life.kill()
        except Violation:
            return True
    return False


def test_a_mutant_is_gone_when_its_block_ends() -> None:
    """What one test breaks must not be broken for the next."""
    for name in MUTANTS:
        with applied(name):
            pass
    with empty_place() as place:
        run(0, place)
