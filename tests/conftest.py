"""What all tests share: the source roots on the path, one BLAS thread before NumPy, examples without a deadline."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from support.postgres import Postgres

# How long one example takes says nothing of the code: others use the processor, and coverage counts lines.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

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

#: They run long ways through code that the tests of its modules have run; counting lines takes half as long again.
_UNCOUNTED = {
    *("chaos", "simulation", "week", "test_engine_contract", "test_pipeline_contract", "test_pipeline_crowds"),
    *("test_formats_contract", "e2e"),
    *("test_experts", "test_gate", "test_extremes", "test_pipeline_keras", "test_engine_keras"),
    "test_what_a_user_meets",
}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Where no lines are counted."""
    for item in items:
        if _UNCOUNTED & {item.path.parent.name, item.path.stem}:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A PostgreSQL of this session's own; a schema for each who asks for one."""
    if not os.environ.get("CI"):
        pytest.importorskip("psycopg")
    from support.postgres import INITDB, running

    if INITDB is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL's server is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="gaugecast-postgres-", dir="/tmp") as directory,
        running(Path(directory)) as server,
    ):
        yield server
