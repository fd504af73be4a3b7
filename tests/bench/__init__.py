"""`make bench`: speed and size against peers, measured in one run on this machine. `python -m bench --help`."""

from __future__ import annotations

import os

#: OpenBLAS chooses its kernel by the processor; whoever says otherwise measures another machine.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
