"""The crash-point sweep: a story in which processes die at one chosen point, again and again."""

from __future__ import annotations

from pathlib import Path

from simulation.points import Violation
from simulation.story import Story, run

#: Deaths that leave something to be delivered again and marked, so that every point can be reached after them.
_BEGINNINGS = ("ack:before", "commit:after")


def run_with_crashes_at(point: str, seed: int, directory: Path) -> Story:
    """A story in which processes die at `point`: early, and after other deaths.

    Raises:
        Violation: An invariant broke, or the point was never reached.
    """
    script = (_BEGINNINGS[seed % 2], point, _BEGINNINGS[1 - seed % 2], point, point)
    story = run(seed, directory, actions=60, crash_points=script)
    if not story.points.crashed[point]:
        raise Violation(f"no process died at {point}")
    return story
