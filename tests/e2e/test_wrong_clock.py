"""The machine's clock is wrong, for seconds or for good: no step number is given twice, no history is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import Listener, check_books, check_tanks, send_tanks, tanks_config
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto

_HOUR_S, _YEAR_S = 3600, 31_536_000
_STEPS_S = (_YEAR_S, -_YEAR_S, _HOUR_S, -_HOUR_S, 100 * _YEAR_S, -100 * _YEAR_S)
_PART = 100  # messages


@pytest.mark.parametrize(
    ("step_s", "for_good"),
    [
        pytest.param(s, good, marks=() if (s, good) == (_STEPS_S[0], True) else pytest.mark.long)
        for s in _STEPS_S
        for good in (False, True)
    ],
)
def test_a_wrong_clock_costs_no_name_and_no_history(
    tmp_path: Path, broker: Mosquitto, step_s: int, for_good: bool
) -> None:
    """Streams that are parked by it go on where they were, also after `kill -9`; replay gives all forecasts again."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    config = tanks_config(broker.port, fleet='park_after = "2d"')
    daemon = DaemonProcess(
        tmp_path / "d", config, command=command("settable_clock"), environment={"GAUGECAST_TEST_CLOCK": str(offset)}
    )
    try:
        with Listener(broker, tmp_path) as listener:
            daemon.start()
            send_tanks(broker, _PART)
            listener.wait_distinct(_PART)
            _set(offset, step_s)
            send_tanks(broker, _PART, first=_PART, rate=_PART / 4)
            listener.wait_distinct(2 * _PART)
            if not for_good:
                _set(offset, 0)
            send_tanks(broker, _PART, first=2 * _PART)
            listener.wait_distinct(3 * _PART)
            check_books(daemon, stepped=3 * _PART, late=0, duplicate=0, rejected=0)
            daemon.kill()
            daemon.start()
            send_tanks(broker, _PART, first=3 * _PART)
            check_tanks(listener.wait_distinct(4 * _PART), 4 * _PART, copies=True)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{4 * _PART} messages reproduced byte for byte" in found.stdout


def _set(offset: Path, seconds: int) -> None:
    """In one piece: the daemon reads the file at each stamp."""
    draft = offset.with_suffix(".new")
    draft.write_text(str(seconds))
    draft.replace(offset)
