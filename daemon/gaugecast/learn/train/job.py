"""`gaugecast train` from end to end: read, prepare, fit, judge, write down."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

import gaugecast
from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.forecast.scaling import InputLayout
from gaugecast.history import NO_TIME, FileColumns, fleet_of_file
from gaugecast.learn.fit.batches import WARM_STEPS, Segments, Span, Windows
from gaugecast.learn.fit.fitting import Epoch, Fit, Source, fit
from gaugecast.learn.fit.initial import initial_model
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.learn.fit.prepared import Prepared
from gaugecast.learn.fit.start import check_rows, manifest_of, recipe_of, spans_of
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.history.sources import record
from gaugecast.learn.keras_models.file import describe
from gaugecast.learn.score.judging import MOST_STREAMS, JudgedPart, judge, yardstick
from gaugecast.model import Manifest, Model, seal_model

PARTS = ("train", "validation", "test")


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
    """

    sources: tuple[Path, ...]
    train: Train
    fleet: Fleet | None = None
    columns: FileColumns = field(default_factory=FileColumns)
    scratch: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training."""

    model: Model
    fleet: Fleet
    fit: Fit
    judged: dict[str, JudgedPart]
    lines: tuple[str, ...]
    seconds: float


def run_training(task: Task, listener: Listener | None = None) -> Trained:
    """Train one model.

    Raises:
        ConfigError: Files that cannot be read, settings that do not go together, too few rows.
    """
    listener = listener or Silent()
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="gaugecast-train-", dir=task.scratch))
    try:
        return _run(task, listener, directory, began)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def load_history(task: Task, listener: Listener, directory: Path) -> tuple[Fleet, Recording]:
    """Read the sources; the fleet is the configured one, or made from the first file, with the horizon wanted.

    Raises:
        ConfigError: As `record`.
    """
    for source in task.sources:
        if not source.exists():
            raise ConfigError(f"{source}: no such file or directory")
    if task.fleet is None and task.sources[0].is_dir():
        raise ConfigError(f"{task.sources[0]}: a ledger needs the configuration (-c) that says what its fleets are")
    fleet = task.fleet or fleet_of_file(task.sources[0], task.columns)
    fleet = replace(fleet, horizon=task.train.horizon)
    listener.begin("reading", None)
    bridge = fleet.bridge if task.train.bridge is None else task.train.bridge
    recording = record(task.sources, fleet, task.columns, directory, bridge=bridge, tick=listener.advance)
    return fleet, recording


def _run(task: Task, listener: Listener, directory: Path, began: float) -> Trained:
    train = task.train
    fleet, recording = load_history(task, listener, directory)
    check_rows(train, recording)
    recipe = recipe_of(train, fleet, recording, timed=task.columns.time != NO_TIME)
    manifest = manifest_of(train, fleet, recipe, configured=task.fleet is not None)
    lines = _explain(train, fleet, recording, manifest)
    for line in lines:
        listener.say(line)
    fitted = _fit(train, fleet, recording, manifest, listener)
    judged = _judge(train, fleet, recording, fitted.model, listener)
    provenance = provenance_of(task, recording, fitted, judged)
    model = fitted.model
    sealed = seal_model(replace(model.manifest, provenance=provenance), model.weights)
    return Trained(sealed, fleet, fitted, judged, tuple(lines), time.monotonic() - began)


def _fit(train: Train, fleet: Fleet, recording: Recording, manifest: Manifest, listener: Listener) -> Fit:
    prepared = Prepared(recording, fleet, manifest)
    listener.begin("preparing", recording.total_rows)
    prepared.build(listener.advance)
    learned, held_out = sources_of(train, prepared)
    network = TrainableNetwork(
        initial_model(manifest, seed=train.seed, learn_initial=train.learn_initial),
        dropout=train.dropout,
        recurrent_dropout=train.recurrent_dropout,
        learn_initial=train.learn_initial,
    )
    listener.begin("training", len(learned) * train.epochs)
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        listener.advance(done)

    tail = train.last_only and not train.carries_state
    return fit(network, train, learned, held_out, tail=tail, on_batch=count, on_epoch=listener.epoch)


def sources_of(train: Train, prepared: Prepared) -> tuple[Source, Source | None]:
    """The training part and, where something is held out, the validation part, cut as the settings say."""
    learned, held_out, _ = spans_of(train)

    def cut(span: Span, *, validating: bool) -> Source:
        if train.carries_state:
            return Segments(
                prepared,
                span,
                steps=train.window,
                lanes=train.batch,
                last_only=train.last_only,
                warm=WARM_STEPS if validating else 0,
            )
        return Windows(
            prepared,
            span,
            steps=train.look_back,
            stride=1 if validating else train.stride,
            size=train.batch,
            last_only=train.last_only,
            shuffle=train.shuffle,
        )

    return cut(learned, validating=False), cut(held_out, validating=True) if train.validation else None


def _judge(train: Train, fleet: Fleet, recording: Recording, model: Model, listener: Listener) -> dict[str, JudgedPart]:
    layout = InputLayout.of(fleet.features, model.manifest.rows, model.manifest.recipe)
    spans = dict(zip(PARTS, spans_of(train), strict=True))
    measure = yardstick(recording, spans["train"], layout.forecast)
    listener.begin("judging", min(len(recording.streams), MOST_STREAMS))
    return judge(
        model, fleet, recording, spans, horizon=train.horizon, season=train.season, measure=measure,
        tick=listener.advance,
    )  # fmt: skip


def _explain(train: Train, fleet: Fleet, recording: Recording, manifest: Manifest) -> list[str]:
    """Which array is built, and how rows become it."""
    features = ", ".join(feature.name for feature in fleet.features)
    per = "one for each feature" if manifest.rows == "per_feature" else "one a stream"
    layout = InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
    rows = train.batch * layout.row_count
    kind = "segment" if train.carries_state else "window"
    cut = (
        f"each stream is cut into {kind}s of {train.window} steps, in order; the state goes on from one to the next "
        "and begins anew at each stream's start and after a long gap"
        if train.carries_state
        else f"windows of {train.look_back} rows, each {train.stride} after the one before, from the initial state"
    )
    target = {
        ("sequence", 1): "the series itself, one step later, at every step",
        ("last", 1): "the row after the last step",
    }.get(("last" if train.last_only else "sequence", manifest.decode_steps), f"the next {train.horizon} rows at once")
    return [
        f"{recording.total_rows:,} rows of {_count(len(recording.streams), 'stream')}, features {features}"
        + (f"; {recording.dropped:,} late or repeated rows left out" if recording.dropped else "")
        + (f"; {recording.bridged:,} missing ticks in short gaps bridged" if recording.bridged else ""),
        f"network: {describe(manifest)}, {manifest.rows} rows ({per}), scaling {manifest.recipe.kind}",
        f"array (streams, steps, features) = ({rows}, {train.window}, {manifest.input_size}): {cut}; target: {target}",
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def provenance_of(
    task: Task, recording: Recording, fitted: Fit, judged: dict[str, JudgedPart]
) -> dict[str, str | int | float]:
    """For the manifest: rows, versions, every setting, and the figures reached."""
    import keras
    import tensorflow as tf

    settings = {f"train.{name}": as_recorded(value) for name, value in task.train.model_dump().items()}
    figures: dict[str, str | int | float] = {}
    for part, found in judged.items():
        overall = found.horizons[0].overall
        if overall.count:
            figures[f"{part}.mse"] = round(overall.mse, 6)
        if overall.skill is not None:
            figures[f"{part}.skill"] = round(overall.skill, 4)
    return {
        "made_by": "gaugecast train",
        "sources": ", ".join(map(_source_name, task.sources)),
        "time_column": task.columns.time,
        "stream_column": task.columns.stream,
        "data_sha256": recording.digest(),
        "data_rows": recording.total_rows,
        "data_bridged": recording.bridged,
        "data_streams": len(recording.streams),
        "gaugecast": gaugecast.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "seed": task.train.seed,
        "epochs_run": len(fitted.epochs),
        "best_epoch": fitted.best,
        **settings,
        **figures,
    }


def as_recorded(value: object) -> str | int | float:
    """A setting as a manifest can hold it: a number or text."""
    if isinstance(value, bool) or value is None or isinstance(value, (list, tuple)):
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(list(value))
    return value if isinstance(value, (int, float)) else str(value)


def _source_name(path: Path) -> str:
    return path.name or str(path)
