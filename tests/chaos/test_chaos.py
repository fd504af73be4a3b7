"""A short chaos run in the suite; `make chaos` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.arrays import run_arrays
from chaos.mutation import run_mutant
from chaos.run import run_chaos
from chaos.scenario import MUTANTS, Scenario
from chaos.session import run_session_loss

pytestmark = pytest.mark.timeout(900)
KILLS = int(os.environ.get("KILLS") or 3)


def test_kills_under_load_lose_nothing_and_change_nothing(tmp_path: Path) -> None:
    """Every reading stepped once, forecasts and final state those of an uninterrupted run, all accounted for."""
    findings = run_chaos(Scenario(KILLS), tmp_path / "run")
    assert findings.kills == KILLS
    assert not findings.red, findings


def test_old_acks_never_hit_new_messages(tmp_path: Path) -> None:
    """The broker forgets our session while a batch waits, and begins its packet ids anew."""
    findings = run_session_loss(tmp_path / "run", seed=1)
    assert not findings.red, findings


def test_kills_make_no_large_message_poison(tmp_path: Path) -> None:
    """Arrays of two thousand readings, killed while they are under way: all are stepped once, none is put aside."""
    findings = run_arrays(tmp_path / "run", kills=4, messages=2)
    assert findings.kills == 4
    assert not findings.red, findings


@pytest.mark.long
@pytest.mark.parametrize("name", [*MUTANTS[:4], "kills_blamed"])
def test_a_broken_daemon_is_seen(tmp_path: Path, name: str) -> None:
    """Else the run would prove nothing; every day the same faults are put into the simulation."""
    findings = run_mutant(name, tmp_path, seed=1, told=lambda _: None)
    assert findings.red
