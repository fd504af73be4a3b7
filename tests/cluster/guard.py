"""Nobody else may use the cluster of a test: to be imported before `ray` is."""

from __future__ import annotations

import os
import secrets

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_usage_stats_enabled", "0")
