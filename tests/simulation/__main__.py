"""`cd tests && python -m simulation --seeds 10000`: many stories; prints each seed that breaks an invariant."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "daemon"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from simulation.place import empty_place
from simulation.points import ALL_POINTS
from simulation.story import ACTIONS, Story, run
from simulation.sweep import run_with_crashes_at


def main() -> int:
    """Exit code 1 if any seed failed."""
    chosen = _arguments()
    began = time.monotonic()
    failed: list[str] = []
    totals: Counter[str] = Counter()
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for point in ALL_POINTS if chosen.sweep else ("",):
            name = f"seed {seed} {point}".strip()
            try:
                with empty_place() as place:
                    story = (
                        run_with_crashes_at(point, seed, place) if point else run(seed, place, actions=chosen.actions)
                    )
                totals += count(story)
            except Exception as exc:
                failed.append(name)
                print(f"{name}: {type(exc).__name__}: {exc}", flush=True)
                if chosen.verbose:
                    traceback.print_exc()
    print(f"{chosen.seeds} seeds in {time.monotonic() - began:.1f} s, {len(failed)} stories failed: {failed[:20]}")
    print(", ".join(f"{name} {count}" for name, count in totals.items()))
    return 1 if failed else 0


def count(story: Story) -> Counter[str]:
    """What happened in a story, to be added up."""
    sent = story.broker.sent
    return Counter(
        stories=1,
        processes=story.lives,
        messages=len(sent),
        lost_with_session=sum(s.lost for s in sent),
        inputs=len(story.journal.inputs),
        forecasts=len(story.journal.outputs),
        copies=story.broker.copies,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    parser.add_argument("--sweep", action="store_true", help="each seed once for each crash point")
    parser.add_argument("--verbose", action="store_true", help="print each failure's traceback")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
