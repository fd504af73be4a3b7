"""A new fleet on a real broker, without a model: the daemon teaches itself, and kills do not unteach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.scenes import Listener, check_messages
from learning.stage import (
    is_alive,
    kill_learner,
    learner_pids,
    learning_daemon,
    mean_skill,
    running_tanks,
    wait_events,
)
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto, wait_until

pytestmark = [pytest.mark.keras, pytest.mark.long]


def test_a_new_fleet_teaches_itself_and_kills_do_not_unteach_it(tmp_path: Path, broker: Mosquitto) -> None:
    """Fallback, shadow, in force; kill -9 of learner and loop; every published body is reproduced."""
    daemon = learning_daemon(tmp_path / "d", broker.port)
    try:
        with Listener(broker, tmp_path) as listener, running_tanks(broker):
            daemon.start()
            told = wait_events(daemon, "promoted", 1, deadline_s=180)
            assert told[0][0] == "shadow", "expected the first model on trial before it forecasts"
            assert told[1][0] == "warmed", "expected it to come with what it remembers of the streams"
            wait_events(daemon, "in_force", 2, deadline_s=30)
            kill_learner(daemon)
            orphan = _kill_both(daemon)
            daemon.start()
            assert not is_alive(orphan), "expected the learner to end with its daemon"
            before = sum(kind == "in_force" for kind, _ in wait_events(daemon, "in_force", 2, deadline_s=5))
            wait_events(daemon, "in_force", before + 2, deadline_s=120)
            wait_until(lambda: mean_skill(daemon) > 0.1, what=f"skill; now {mean_skill(daemon)}", deadline_s=30)
            assert daemon.metrics().total("gaugecast_learner_updates_total") > 0
        assert daemon.stop() == 0
        messages = check_messages(listener.lines, copies=True)
    finally:
        if daemon.running:
            daemon.kill()
    _check_messages(messages)
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "reproduced byte for byte" in found.stdout


def _kill_both(daemon: DaemonProcess) -> int:
    """Wait for the next learner to be started, then kill -9 the loop; the learner's process id."""
    wait_until(lambda: len(learner_pids(daemon)) >= 2, what="a second learner", deadline_s=20)
    orphan = learner_pids(daemon)[-1]
    daemon.kill()
    wait_until(lambda: not is_alive(orphan), what="the learner's end with its daemon")
    return orphan


def _check_messages(messages: dict[str, list[dict[str, object]]]) -> None:
    """Each tank: persistence that says so, then several versions of a model, without a gap in the steps."""
    for stream in messages.values():
        assert "fallback" in stream[0]["quality"]  # type: ignore[operator]
        versions = {m["model"] for m in stream}
        assert None in versions
        assert len(versions) > 4
        assert stream[-1]["model"] is not None
