"""`gaugecast` as a user calls it."""

from __future__ import annotations

import subprocess
import sys


def said(*words: str) -> str:
    """What a command says; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "gaugecast", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
