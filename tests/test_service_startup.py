"""A daemon that cannot start says why in one line, with the exit code that its service manager needs."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.errors import AddressTaken, StorageError
from gaugecast.metrics.exporter import Metrics
from gaugecast.service.daemon import Daemon
from gaugecast.status import Status
from gaugecast.testing import random_model
from support.seeding import seed_state


def daemon(tmp_path: Path, *, state: Path, http_port: int = 0) -> Daemon:
    """One that has not started."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(
        f'[storage]\ndirectory = "{state}"\n[http]\nport = {http_port}\n'
        '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.level]\nunit = "m"\n'
    )
    return Daemon(load_settings(path, {}))


def test_an_http_port_in_use_is_named(tmp_path: Path) -> None:
    """Most often another daemon's; a restart heals it once the other is gone."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with ExitStack() as held, pytest.raises(AddressTaken, match=rf"\[http\].*127\.0\.0\.1:{port}.*in use"):
            daemon(tmp_path, state=tmp_path / "s", http_port=port).startup(held)


@pytest.mark.parametrize("name", ["file", "file/state"])
def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    """As when the default is left and the user is not the service's."""
    (tmp_path / "file").touch()
    state = tmp_path / name
    with ExitStack() as held, pytest.raises(StorageError, match=r"\[storage\] directory: .*" + str(state)):
        daemon(tmp_path, state=state).startup(held)


def test_a_replay_at_the_start_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take minutes, while /metrics already answers."""
    told: list[Status] = []
    monkeypatch.setattr(Metrics, "set_status", lambda _, status: told.append(status))
    begun = daemon(tmp_path, state=tmp_path / "s")
    (fleet,) = resolve_fleets(begun.settings)
    seed_state(tmp_path / "s", fleet, random_model("tanks", [("level", "forecast")], fleet.rows, units=(4,), seed=1))
    with ExitStack() as held:
        begun.startup(held)
        begun.shutdown()
    assert {status.doing.verb for status in told} == {"recovering"}
