"""The API as its own document describes it, put to the test by Schemathesis: a program that knows nothing of ours."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.serving import Served

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None and "CI" not in os.environ, reason="schemathesis is not installed"
)
def test_schemathesis_finds_nothing_that_the_document_does_not_say(console: Served, tmp_path: Path) -> None:
    """Whatever is asked: no defect, and of each answer status, type and content as described. `live` never ends."""
    command = [
        sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
        f"{console.url}/api/v1/openapi.json", "--exclude-path", "/api/v1/live", "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "1", "--no-color",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
