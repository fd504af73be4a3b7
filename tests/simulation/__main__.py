"""`python -m simulation --seeds 10000 --first 0`: many stories; prints each seed that breaks an invariant."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> int:
    """Exit code 1 if any seed failed."""
    from simulation.story import ACTIONS, run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    parser.add_argument("--verbose", action="store_true", help="print each failure's traceback")
    chosen = parser.parse_args()
    began, failed = time.monotonic(), []
    reached: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    home = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        directory = Path(tempfile.mkdtemp(prefix="gaugecast-story-", dir=home))
        try:
            story = run(seed, directory, actions=chosen.actions)
            reached += story.points.reached
            totals += Counter(
                lives=story.lives, readings=len(story.journal.inputs), forecasts=len(story.journal.outputs),
                copies=story.broker.copies, messages=len(story.broker.sent),
                lost_with_session=sum(s.lost for s in story.broker.sent),
            )  # fmt: skip
        except Exception as exc:
            failed.append(seed)
            print(f"seed {seed}: {type(exc).__name__}: {exc}", flush=True)
            if chosen.verbose:
                traceback.print_exc()
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"{chosen.seeds} seeds in {time.monotonic() - began:.1f} s, {len(failed)} failed: {failed[:20]}")
    print(dict(totals))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
