"""`gaugecast` with a deliberate fault: `GAUGECAST_MUTANT=no_dedupe python -m support.mutant_daemon run -c …`.

The product never reads this variable. The mutant is applied before the command line is, so that it holds for all
that the process does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    """Run the command line under the named mutant; without one as it is."""
    from gaugecast.cli import main as gaugecast
    from mutants import applied

    name = os.environ.pop("GAUGECAST_MUTANT", "")  # the configuration knows no such key
    if not name:
        gaugecast()
        return
    with applied(name):
        gaugecast()


if __name__ == "__main__":
    main()
