"""`gaugecast tune`: many trainings, each judged by its prequential error on the validation part. Needs Optuna.

The study lies in a SQLite file in the run directory, so that a search that was ended goes on where it was. The
objective is the mean square error of forecasts on the validation part, over all horizons, made by the daemon's own
code.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from gaugecast.config.training import Train
from gaugecast.config.tuning import SEARCHED, Tune
from gaugecast.engine import engine_for
from gaugecast.errors import ConfigError
from gaugecast.forecast.expert import Expert
from gaugecast.learn.score.judging import JudgedPart
from gaugecast.learn.train.job import as_recorded, run_training
from gaugecast.learn.train.run_directory import write_run
from gaugecast.learn.train.task import Listener, Task, Trained
from gaugecast.model import Model

STUDY_FILE = "study.db"
BEST = "best"
SHOWN_STEPS = 160
_TIMED_ROWS, _TIMED_S = 64, 0.1
_MOST_CHECKED = 10_000


@dataclass(frozen=True, slots=True)
class Tried:
    """One finished trial, as the table and the pictures show it.

    Attributes:
        params: What was tried, by key; `units` as text, `32-16`.
        train, validation: Mean square errors, means over all horizons, in deviations of the training part.
        skill: Of the next step.
        step_us: Microseconds that the engine takes for one row of a batch.
        stream_bytes: What one stream's row costs in memory.
    """

    number: int
    params: dict[str, Any]
    train: float
    validation: float
    skill: float | None
    parameters: int
    step_us: float
    stream_bytes: int
    seconds: float
    forecast: list[float]
    observed: list[float]


class SearchEnded(KeyboardInterrupt):
    """A search that was ended by hand.

    Attributes:
        trials: Those that are done.
    """

    def __init__(self, trials: list[Tried]) -> None:
        super().__init__("search ended by hand")
        self.trials = trials


def tune(
    task: Task, tuning: Tune, directory: Path, listener: Listener, *, on_trial: Callable[[Tried], None] | None = None
) -> list[Tried]:
    """Search until `tuning.trials` are done, those of earlier runs in `directory` included.

    Args:
        task: What is trained; its settings hold for all that is not searched.
        tuning: What is tried.
        directory: Keeps the study, and the run directory of the best trial.
        listener: Told of each training.
        on_trial: Called after each trial.

    Raises:
        ConfigError: Optuna is absent, nothing is held out, or settings to try do not go together; or what
            `run_training` raises of the first trial.
        SearchEnded: By hand; the trial under way is not counted, and the search goes on there another time.
    """
    check_search(task.train, tuning)
    optuna = _load_optuna()
    directory.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{directory / STUDY_FILE}",
        study_name="tune",
        sampler=_sampler(optuna, tuning),
        direction="minimize",
        load_if_exists=True,
    )
    done = _tried(optuna, study)
    untried = [point for point in grid(tuning) if describe_point(point) not in [tried.params for tried in done]]
    endless = any(_is_range(key, tuning) for key in SEARCHED)
    total = tuning.trials if endless else min(tuning.trials, len(done) + len(untried))
    for _ in range(total - len(done)):
        trial = _ask(study, tuning, done, [] if endless else untried)
        try:
            tried = _try(trial, task, tuning, directory, listener, done=done)
        except KeyboardInterrupt as exc:
            raise SearchEnded(done) from exc
        study.tell(trial, tried.validation)
        done.append(tried)
        if on_trial is not None:
            on_trial(tried)
    return done


def check_search(train: Train, tuning: Tune) -> None:
    """Refuse, before anything is trained, what no search can judge, and settings that do not go together.

    Raises:
        ConfigError: With the first of them.
    """
    if not train.validation:
        raise ConfigError(
            "--validation 0: tune ranks trials by the validation part, so some is expected, such as 0.15; "
            "train the best settings again without one"
        )
    for point in itertools.islice(grid(tuning), _MOST_CHECKED):
        settings_of(train, point)


def points_left(tuning: Tune) -> str:
    """What is not tried of a grid that has more points than there are trials, in a sentence; else empty."""
    if tuning.sampler != "grid":
        return ""
    points = sum(1 for _ in grid(tuning))
    if points <= tuning.trials:
        return ""
    return (
        f"the grid has {points:,} points, of which the first {tuning.trials:,} are tried; "
        f"--trials {points} tries all, --sampler random a choice of them"
    )


def _ask(study: Any, tuning: Tune, done: Sequence[Tried], untried: list[dict[str, Any]]) -> Any:
    """The next trial: the sampler's choice, or where that was tried before (and in a grid) the next that was not."""
    if tuning.sampler != "grid":
        trial = study.ask()
        point = describe_point(_suggest(trial, tuning))
        known = next((tried.validation for tried in done if tried.params == point), None)
        if known is None or not untried:
            untried[:] = [other for other in untried if describe_point(other) != point]
            return trial
        study.tell(trial, known)
    study.enqueue_trial(untried.pop(0))
    return study.ask()


def grid(tuning: Tune) -> Iterator[dict[str, Any]]:
    """Every combination, by the names under which the study knows them."""
    searched = {key: getattr(tuning, key) for key in SEARCHED if getattr(tuning, key)}
    for layers in tuning.layers:
        for units in itertools.product(tuning.units, repeat=layers):
            for rest in itertools.product(*searched.values()):
                point: dict[str, Any] = {"layers": layers} if len(tuning.layers) > 1 else {}
                point |= {f"units{i}": u for i, u in enumerate(units)}
                yield point | dict(zip(searched, rest, strict=True))


def describe_point(params: dict[str, Any]) -> dict[str, Any]:
    """A study's parameters as people read them: units of all layers together."""
    units = [params[f"units{i}"] for i in range(8) if f"units{i}" in params]
    rest = {k: v for k, v in params.items() if not k.startswith("units") and k != "layers"}
    return ({"units": "-".join(map(str, units))} if units else {}) | rest


def settings_of(train: Train, params: dict[str, Any]) -> Train:
    """The settings of one trial.

    Raises:
        ConfigError: They do not go together.
    """
    point = describe_point(params)
    changed = {key: value for key, value in point.items() if key != "units"}
    if "units" in point:
        changed["units"] = [int(u) for u in point["units"].split("-")]
    try:
        return Train.model_validate({**train.model_dump(exclude_unset=True), **changed})
    except ValidationError as exc:
        raise ConfigError(f"trial {point}: {exc.errors()[0]['msg'].removeprefix('Value error, ')}") from exc


def _suggest(trial: Any, tuning: Tune) -> dict[str, Any]:
    params: dict[str, Any] = {}
    layers = trial.suggest_categorical("layers", tuning.layers) if len(tuning.layers) > 1 else tuning.layers[0]
    for i in range(layers if tuning.units else 0):
        params[f"units{i}"] = trial.suggest_categorical(f"units{i}", tuning.units)
    for key in SEARCHED:
        choices = getattr(tuning, key)
        if not choices:
            continue
        if _is_range(key, tuning):
            params[key] = trial.suggest_float(key, min(choices), max(choices), log=key == "learning_rate")
        else:
            params[key] = trial.suggest_categorical(key, choices)
    return params


def _is_range(key: str, tuning: Tune) -> bool:
    """Whether the two numbers of a key are the ends of a range."""
    return key in ("learning_rate", "dropout") and len(getattr(tuning, key)) == 2 and tuning.sampler != "grid"


def _try(trial: Any, task: Task, tuning: Tune, directory: Path, listener: Listener, *, done: Sequence[Tried]) -> Tried:
    params = _suggest(trial, tuning)
    train = settings_of(task.train, params)
    began = time.monotonic()
    trained = run_training(replace(task, train=train), listener)
    if trained.fit.interrupted:
        raise KeyboardInterrupt
    tried = _measure(len(done), params, trained, time.monotonic() - began)
    trial.set_user_attr("tried", json.dumps({k: getattr(tried, k) for k in Tried.__slots__}))
    if tried.validation < min((t.validation for t in done), default=np.inf):
        model = trained.model
        search = {f"tune.{name}": as_recorded(value) for name, value in tuning.model_dump().items()}
        manifest = replace(model.manifest, provenance={**model.manifest.provenance, "trial": tried.number, **search})
        write_run(replace(trained, model=Model(manifest, model.weights)), train, directory / BEST)
    return tried


def _measure(number: int, params: dict[str, Any], trained: Trained, seconds: float) -> Tried:
    judged = trained.judged["validation"]
    rows = slice(max(judged.counted.stop - SHOWN_STEPS, 1), judged.counted.stop)
    before = slice(rows.start - 1, rows.stop - 1)
    return Tried(
        number=number,
        params=describe_point(params),
        train=_mean_mse(trained.judged["train"]),
        validation=_mean_mse(judged),
        skill=judged.horizons[0].overall.skill,
        parameters=sum(weight.size for weight in trained.model.weights.values()),
        step_us=step_microseconds(trained.model),
        stream_bytes=Expert(trained.fleet, trained.model, 1).columns.row_bytes,
        seconds=round(seconds, 2),
        forecast=[float(v) for v in judged.forecasts[before, 0, 0]],
        observed=[float(v) for v in judged.course.observed[rows, 0]],
    )


def _mean_mse(judged: JudgedPart) -> float:
    return float(np.mean([one.overall.mse for one in judged.horizons]))


def step_microseconds(model: Model) -> float:
    """Time that the engine takes for one forecast of one row, in a batch of 64; a window's steps all count."""
    engine = engine_for(model)
    steps = max(model.manifest.look_back, 1)
    x = np.zeros((steps, _TIMED_ROWS, engine.input_size), np.float32)
    state = engine.initial_state(_TIMED_ROWS)
    engine.sequence(x, state)
    times: list[float] = []
    while sum(times) < _TIMED_S:
        began = time.perf_counter()
        engine.sequence(x, state)
        times.append(time.perf_counter() - began)
    return min(times) / _TIMED_ROWS * 1e6  # the least: what others did meanwhile is not ours


def _tried(optuna: Any, study: Any) -> list[Tried]:
    complete = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE and "tried" in t.user_attrs]
    return [Tried(**json.loads(trial.user_attrs["tried"])) for trial in complete]


def _sampler(optuna: Any, tuning: Tune) -> Any:
    if tuning.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=tuning.tune_seed, n_startup_trials=min(10, max(tuning.trials // 3, 2)))
    return optuna.samplers.RandomSampler(seed=tuning.tune_seed)


def _load_optuna() -> Any:
    try:
        import optuna
    except ImportError as exc:
        raise ConfigError("tune needs Optuna: pip install 'gaugecast[tune]'") from exc
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
