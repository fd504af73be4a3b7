"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.mosquitto import Mosquitto, run_mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that drops nothing."""
    with run_mosquitto(tmp_path / "broker", conf="max_queued_messages 0\nmax_inflight_messages 1000\n") as running:
        yield running
