"""Some hundred stories in `make test`; `python -m simulation --seeds 10000` lives more."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.__main__ import count
from simulation.place import empty_place
from simulation.points import ALL_POINTS
from simulation.story import run
from simulation.sweep import run_with_crashes_at

STORIES = 140
IN_ONE_TEST = 5
EVERY_DAY = 5
SWEEP_SEEDS = (1, 6)


@pytest.mark.parametrize(
    "first",
    [
        first if first < EVERY_DAY else pytest.param(first, marks=pytest.mark.long)
        for first in range(0, STORIES, IN_ONE_TEST)
    ],
)
def test_no_story_breaks_an_invariant(first: int) -> None:
    """Cuts, crashes, lost sessions, a full disk, a clock that is set: nothing is lost, doubled, or different."""
    seen: Counter[str] = Counter()
    for seed in range(first, first + IN_ONE_TEST):
        with empty_place() as place:
            seen += count(run(seed, place))
    assert seen["processes"] > IN_ONE_TEST, "stories without a crash show nothing"
    assert seen["copies"] > 0
    assert seen["lost_with_session"] > 0
    assert seen["forecasts"] > 20 * IN_ONE_TEST


@pytest.mark.parametrize("seed", [SWEEP_SEEDS[0], *(pytest.param(s, marks=pytest.mark.long) for s in SWEEP_SEEDS[1:])])
@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=pytest.mark.long) if point.endswith(":before") else point for point in ALL_POINTS],
)
@pytest.mark.no_cover  # the stories have run the same lines
def test_a_process_may_die_at_any_point(point: str, seed: int) -> None:
    """Dying before or after each step of the loop, a commit, a checkpoint or a prune leaves no trace in results.

    What is before a step is after the one that came first; so every day's are those after, and in the midst.
    """
    with empty_place() as place:
        story = run_with_crashes_at(point, seed, place)
    assert story.points.crashed[point]


def test_the_same_seed_tells_the_same_story() -> None:
    """A failing seed must fail again for whoever looks into it."""
    ends = []
    for _ in range(2):
        with empty_place() as place:
            story = run(3, place)
            ends.append((story.points.reached, story.journal.inputs, story.journal.outputs, story.broker.copies))
    assert ends[0] == ends[1]
