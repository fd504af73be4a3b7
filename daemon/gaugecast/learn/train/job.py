"""`gaugecast train` from end to end: read, prepare, fit, judge, write down."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.forecast.scaling import InputLayout
from gaugecast.history import fleet_of_file
from gaugecast.learn.fit.backend import versions
from gaugecast.learn.fit.batches import WARM_STEPS, Segments, Span, Windows
from gaugecast.learn.fit.fitting import Fit, Source, fit
from gaugecast.learn.fit.initial import initial_model
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.learn.fit.prepared import Prepared
from gaugecast.learn.fit.start import check_rows, manifest_of, recipe_of, spans_of
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.history.sources import record
from gaugecast.learn.score.judging import MOST_STREAMS, JudgedPart, judge, yardstick
from gaugecast.learn.score.states import States, states_over
from gaugecast.learn.score.warmth import warm_steps
from gaugecast.learn.train.begin import Begun, check_goes_on, load_run
from gaugecast.learn.train.explain import explain_array, explain_rows
from gaugecast.learn.train.task import Listener, Silent, Task, Trained
from gaugecast.model import Manifest, Model, seal_model

#: Rows over which hidden states are drawn.
STATE_ROWS = 500
PARTS = ("train", "validation", "test")


def run_training(task: Task, listener: Listener | None = None) -> Trained:
    """Train one model.

    Raises:
        ConfigError: Files that cannot be read, settings that do not go together, too few rows.
    """
    listener = listener or Silent()
    began = time.monotonic()
    scratch = tempfile.TemporaryDirectory(prefix="gaugecast-train-", dir=task.scratch, ignore_cleanup_errors=True)
    with scratch as directory:
        return _run(task, listener, Path(directory), began)


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
    lines = explain_rows(task.sources, fleet, task.columns, recording)
    for line in lines:
        listener.say(line)
    check_rows(train, recording)
    begun = None if task.begin is None else load_run(task.begin)
    recipe = recipe_of(train, fleet, recording, timed=task.timed) if begun is None else begun.model.manifest.recipe
    manifest = manifest_of(train, fleet, recipe, configured=task.fleet is not None)
    if begun is not None:
        check_goes_on(begun, manifest)
    more = explain_array(train, recording, manifest, fleet)
    for line in more:
        listener.say(line)
    fitted = _fit(task, fleet, recording, manifest, listener, begun=begun)
    judged = _judge(train, fleet, recording, fitted.model, listener)
    model = _warmed(train, fleet, recording, fitted.model)
    provenance = provenance_of(task, recording, fitted, judged)
    sealed = seal_model(replace(model.manifest, provenance=provenance), model.weights)
    states = _states(fleet, recording, sealed) if task.plot_states and train.carries_state else None
    seconds = time.monotonic() - began
    return Trained(sealed, fleet, fitted, judged, tuple(lines + more), seconds, timed=task.timed, states=states)


def _states(fleet: Fleet, recording: Recording, model: Model) -> States:
    """The first stream's hidden states over its last rows."""
    stream = recording.streams[0]
    rows = recording.rows(stream)
    return states_over(model, fleet, recording, stream, (max(0, rows - STATE_ROWS), rows))


def _warmed(train: Train, fleet: Fleet, recording: Recording, model: Model) -> Model:
    """The model with as many steps of `warming` as it was found to need after a cold start."""
    if not train.carries_state:
        return model
    layout = InputLayout.of(fleet.features, model.manifest.rows, model.manifest.recipe)
    learned = spans_of(train)[0]
    deviation = yardstick(recording, learned, layout.forecast).deviation
    steps = warm_steps(model, fleet, recording, learned, deviation=deviation, least=model.manifest.warmup_steps)
    return Model(replace(model.manifest, warmup_steps=steps), model.weights)


def _fit(
    task: Task, fleet: Fleet, recording: Recording, manifest: Manifest, listener: Listener, *, begun: Begun | None
) -> Fit:
    train, checkpoint = task.train, task.checkpoint
    prepared = Prepared(recording, fleet, manifest)
    listener.begin("preparing", recording.total_rows)
    prepared.build(listener.advance)
    learned, held_out = sources_of(train, prepared)
    first = initial_model(manifest, seed=train.seed, learn_initial=train.learn_initial)
    network = TrainableNetwork(
        first if begun is None else Model(manifest, {**first.weights, **begun.model.weights}),
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
    return fit(
        network, train, learned, held_out, tail=tail, moments=() if begun is None else begun.moments,
        on_batch=count, on_epoch=listener.epoch,
        on_best=lambda best: None if checkpoint is None else checkpoint.keep(train, best),
    )  # fmt: skip


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


def provenance_of(
    task: Task, recording: Recording, fitted: Fit, judged: dict[str, JudgedPart]
) -> dict[str, str | int | float]:
    """For the manifest: rows, versions, every setting, and the figures reached."""
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
        **({} if task.begin is None else {"begun_with": str(task.begin)}),
        "sources": ", ".join(map(_source_name, task.sources)),
        "time_column": task.columns.time,
        "stream_column": task.columns.stream,
        "data_sha256": recording.digest(),
        "data_rows": recording.total_rows - recording.bridged,
        "data_bridged": recording.bridged,
        "data_streams": len(recording.streams),
        **versions(),
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
