"""Nobody else may use the cluster of a test: to be imported before `ray` is."""

from __future__ import annotations

import importlib
import os
import secrets

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

#: Of a module that is skipped without Ray.
REASON = "Ray is not installed: pip install 'gaugecast[cluster]'"

if os.environ.get("CI"):  # there it must not be skipped
    importlib.import_module("ray")
