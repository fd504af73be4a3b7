"""`python -m bench [--quick | --share N] [GROUP …]`; without a name all but `console`, and docs/performance.md."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
import time
import traceback

from bench import machine, page, results, sizing
from bench.groups import GROUPS, WHOLE
from bench.scale import FULL, QUICK, Scale


def main() -> None:
    """Measure the named groups, keep what they found, and write the page once the whole was measured."""
    asked = argparse.ArgumentParser(prog="bench", description=__doc__)
    asked.add_argument(
        "group", nargs="*", choices=[*GROUPS, []], help=f"of {', '.join(GROUPS)}; default: all but console"
    )
    asked.add_argument("--quick", action="store_true", help="short windows, to see that it runs: figures mean nothing")
    asked.add_argument(
        "--share", type=float, help="of what is measured once so many times as much: 20 for 1,000 messages"
    )
    options = asked.parse_args()
    scale = QUICK if options.quick else FULL
    scale = dataclasses.replace(scale, share=options.share or scale.share)
    began = time.monotonic()
    for name, figure in machine.facts().items():
        print(f"{name}: {figure}", flush=True)
    broken = [group for group in options.group or WHOLE if not _ends_well(group, scale)]
    print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    if broken:
        sys.exit(f"not measured: {', '.join(broken)}")
    if not options.group and scale == FULL:
        page.write()
        sizing.write()


def _ends_well(group: str, scale: Scale) -> bool:
    """Measure a group; one that breaks costs none of the others."""
    try:
        _measure(group, scale)
    except Exception:
        traceback.print_exc()
        return False
    return True


def _measure(group: str, scale: Scale) -> None:
    load, began = machine.Load(), time.monotonic()
    print(f"{group} … ({load})", flush=True)
    found = importlib.import_module(f"bench.{group}").measure(scale)
    rows = [result.row(group, str(load)) for result in found]
    results.keep(rows)
    results.show(rows)
    print(f"{group}: {time.monotonic() - began:.0f} s, {load}", flush=True)


main()
