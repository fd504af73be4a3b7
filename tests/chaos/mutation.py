"""Broken daemons: each must turn the run red, or the run proves nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from chaos.arrays import run_arrays
from chaos.judge import Findings
from chaos.run import run_chaos
from chaos.scenario import Scenario
from chaos.session import run_session_loss

#: A mutant gets so many runs of so many kills; most are seen in the first.
_ROUNDS, _KILLS = 4, 4
_COMMAND = (sys.executable, str(Path(__file__).resolve().parent.parent / "support" / "mutant_daemon.py"))
#: Seen only where packet ids begin anew.
_OF_SESSIONS = ("no_epoch",)
#: Seen only where messages are under way for long.
_OF_ARRAYS = ("kills_blamed",)


def run_mutant(name: str, directory: Path, *, seed: int, told: Callable[[str], None]) -> Findings:
    """Kill a mutant until it is seen, or the rounds are over; the findings of the last round."""
    os.environ["GAUGECAST_MUTANT"] = name
    try:
        for attempt in range(_ROUNDS):
            told(f"mutant {name}, round {attempt + 1}")
            place = directory / f"{name}-{attempt}"
            if name in _OF_SESSIONS:
                findings = run_session_loss(place, seed=seed, command=_COMMAND, told=told)
            elif name in _OF_ARRAYS:
                findings = run_arrays(place, kills=2 * _KILLS, messages=3, seed=seed, command=_COMMAND, told=told)
            else:
                scenario = Scenario(_KILLS, seed=seed + attempt, hasty=True)
                findings = run_chaos(scenario, place, command=_COMMAND, told=told)
            if findings.red:
                break
    finally:
        del os.environ["GAUGECAST_MUTANT"]
    return findings
