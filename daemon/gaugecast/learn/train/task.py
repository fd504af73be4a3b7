"""What is to be trained, who is told how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gaugecast.config.training import Train
from gaugecast.fleet import Fleet, fleet_name_of
from gaugecast.history import NO_TIME, FileColumns
from gaugecast.learn.fit.fitting import Epoch, Fit
from gaugecast.learn.score.judging import JudgedPart
from gaugecast.learn.score.states import States
from gaugecast.learn.train.begin import Checkpoint
from gaugecast.learn.train.verdict import judged_part, verdict
from gaugecast.model import Model


class Listener(Protocol):
    """Whoever shows how far it is; a small class, so that the work knows no terminal."""

    def say(self, line: str) -> None:
        """A line of text."""

    def begin(self, what: str, total: int | None) -> None:
        """A stage of so many steps begins."""

    def advance(self, done: int) -> None:
        """So many steps of the stage are done."""

    def epoch(self, epoch: Epoch) -> bool | None:
        """An epoch is over; a true answer ends training."""


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def begin(self, what: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, done: int) -> None:
        """Nothing."""

    def epoch(self, epoch: Epoch) -> bool | None:
        """Go on."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be trained, on what.

    Attributes:
        sources: CSV or Parquet files, or a state directory with a ledger.
        fleet: From a configuration; `None` = made from the first file.
        columns: Which columns mean what.
        scratch: Where the arrays lie meanwhile; `None` = a temporary directory.
        plot_states: Whether hidden states are kept for a picture.
        checkpoint: Where the best so far is kept while it runs; `None` = nowhere.
        begin: The run directory whose weights, and optimiser, are gone on with; `None` = new weights.
    """

    sources: tuple[Path, ...]
    train: Train
    fleet: Fleet | None = None
    columns: FileColumns = field(default_factory=FileColumns)
    scratch: Path | None = None
    begin: Path | None = None
    plot_states: bool = False
    checkpoint: Checkpoint | None = None

    @property
    def name(self) -> str:
        """The fleet's, or that which the first file gives it."""
        return fleet_name_of(self.sources[0].stem) if self.fleet is None else self.fleet.name

    @property
    def timed(self) -> bool:
        """Whether rows have times."""
        return self.columns.time != NO_TIME


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training; `timed` where its rows have times."""

    model: Model
    fleet: Fleet
    fit: Fit
    judged: dict[str, JudgedPart]
    lines: tuple[str, ...]
    seconds: float
    timed: bool = True
    states: States | None = None

    @property
    def verdict(self) -> str:
        """What came of it, in words."""
        part = judged_part(self.fit.epochs)
        judged = self.judged.get(part)
        return verdict(self.fit, None if judged is None else judged.horizons[0].overall.skill, part)
