"""What all tests share: the source roots on the path, and one BLAS thread before NumPy is imported."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = Path(__file__).resolve().parent.parent
if os.environ.get("GAUGECAST_TEST_INSTALLED") != "1":
    for source in ("daemon", "simulators"):
        sys.path.insert(0, str(ROOT / source))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "daemon"), str(ROOT / "simulators")])

# The public series lie beside the repository, also where the tests run against an installed wheel.
DATA = ROOT.parent / "shared" / "data"
if DATA.is_dir():
    os.environ.setdefault("GAUGECAST_DATA", str(DATA))
