"""`python -m bench [throughput|rss|restart|latency|overload|catchup|learner …]`; without a name, all."""

from __future__ import annotations

import importlib
import sys

from bench.results import keep

GROUPS = ("throughput", "rss", "restart", "latency", "overload", "catchup", "learner")


def main() -> None:
    """Measure the named groups and keep what they found."""
    wanted = sys.argv[1:] or list(GROUPS)
    unknown = set(wanted) - set(GROUPS)
    if unknown:
        sys.exit(f"groups are {', '.join(GROUPS)}; got {', '.join(sorted(unknown))}")
    for group in wanted:
        print(f"{group} …", flush=True)
        keep(importlib.import_module(f"bench.{group}").measure())


main()
