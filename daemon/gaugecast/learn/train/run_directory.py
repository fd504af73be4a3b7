"""What a training leaves behind: model, `.keras` file, figures, curves, pictures, and one report."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.forecast.scaling import InputLayout
from gaugecast.learn.keras_models.file import save_keras
from gaugecast.learn.pages import drawing
from gaugecast.learn.pages import html as report
from gaugecast.learn.train.begin import save_moments, save_settings
from gaugecast.learn.train.explain import describe, input_names, layer_table
from gaugecast.learn.train.task import Trained
from gaugecast.model import save_model

KERAS_NAME = "model.keras"
REPORT_NAME = "report.html"


def check_free(directory: Path) -> None:
    """Refuse a directory in which something lies already, before hours of training.

    Raises:
        ConfigError: It exists and is not empty.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"{directory}: expected a new or empty directory for the run, found something in it")


def write_run(trained: Trained, train: Train, directory: Path) -> Path:
    """Write everything; the path of the report.

    Raises:
        ConfigError: matplotlib is absent.
    """
    plt = drawing.load_pyplot()
    directory.mkdir(parents=True, exist_ok=True)
    save_model(trained.model, directory)
    save_keras(trained.model, directory / KERAS_NAME)
    _write_scaling(trained, directory)
    _write_figures(trained, directory)
    _write_curves(trained, directory)
    save_settings(train, directory)
    save_moments(trained.fit.moments, directory)
    pictures = _draw(plt, trained, directory)
    path = directory / REPORT_NAME
    path.write_text(_report(trained, train, pictures))
    return path


def _write_scaling(trained: Trained, directory: Path) -> None:
    """What the numbers of the `.keras` file mean, as `models import` reads it, where that was fitted once."""
    recipe = trained.model.manifest.recipe
    if recipe.centre:
        path = (directory / KERAS_NAME).with_suffix(".scaling.json")
        path.write_text(json.dumps({"centre": recipe.centre, "spread": recipe.spread}) + "\n")


def figures_of(trained: Trained) -> dict[str, Any]:
    """What metrics.json says: figures by part and horizon, and what came of it in words; NaN where there are none."""
    return {
        "parts": {part: judged.to_json() for part, judged in trained.judged.items()},
        "verdict": trained.verdict,
        "seconds": round(trained.seconds, 1),
    }


def _write_figures(trained: Trained, directory: Path) -> None:
    text = json.dumps(figures_of(trained), indent=2, allow_nan=True).replace("NaN", "null")
    (directory / "metrics.json").write_text(text + "\n")


def _write_curves(trained: Trained, directory: Path) -> None:
    with (directory / "curves.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("epoch", "train", "validation", "rate"))
        for epoch in trained.fit.epochs:
            held_out = "" if epoch.validation is None else epoch.validation
            lines.writerow((epoch.number, epoch.train, held_out, epoch.rate))


def _draw(plt: object, trained: Trained, directory: Path) -> dict[str, Path]:
    epochs = trained.fit.epochs
    curves = {"training": [epoch.train for epoch in epochs]}
    held_out = [epoch.validation for epoch in epochs if epoch.validation is not None]
    curves |= {"validation": held_out} if held_out else {}
    figure = drawing.draw_curves(plt, curves, kept=trained.fit.best, rates=[epoch.rate for epoch in epochs])
    drawn = {"loss": drawing.save(plt, figure, directory / "loss.png")}
    shown = _shown_part(trained)
    if shown:
        judged = trained.judged[shown]
        figure = drawing.draw_forecast(
            plt, judged.course, judged.forecasts, trained.fleet, rows=judged.counted, timed=trained.timed
        )
        drawn["forecast"] = drawing.save(plt, figure, directory / "forecast.png")
    if trained.states is not None:
        found = trained.states
        figure = drawing.draw_states(
            plt, found.course, states=found.h, follows=found.follows, names=found.names, timed=trained.timed
        )
        drawn["states"] = drawing.save(plt, figure, directory / "states.png")
    if trained.fleet.horizon > 1 and trained.judged:
        colours = {"train": drawing.QUIET, "validation": drawing.SECOND, "test": drawing.FORECAST}
        each = {part: [one.overall for one in judged.horizons] for part, judged in trained.judged.items()}
        panels = {
            "RMSE, in deviations of the training part": {p: ([f.rmse for f in o], colours[p]) for p, o in each.items()},
            "skill against persistence": {
                p: ([math.nan if f.skill is None else f.skill for f in o], colours[p]) for p, o in each.items()
            },
        }
        period_ns = trained.fleet.period_ns if trained.timed else None
        figure = drawing.draw_horizons(plt, panels, period_ns=period_ns)
        drawn["horizons"] = drawing.save(plt, figure, directory / "horizons.png")
    return drawn


def _shown_part(trained: Trained) -> str | None:
    return next((part for part in ("test", "validation", "train") if part in trained.judged), None)


def _report(trained: Trained, train: Train, pictures: dict[str, Path]) -> str:
    manifest, shown = trained.model.manifest, _shown_part(trained)
    units = {feature.name: feature.unit for feature in trained.fleet.features}
    parts = [_headline(trained, shown), report.quote(trained.verdict)]
    parts += [report.heading("How rows become the array"), *map(report.paragraph, trained.lines)]
    parts += [report.heading("The network"), *_network(trained, train)]
    parts.append(report.shown("Loss", pictures["loss"], "loss by epoch"))
    if "forecast" in pictures:
        title = f"Forecast over what was observed: end of the {shown} part"
        parts.append(report.shown(title, pictures["forecast"], "forecast and observed"))
    for part, judged in trained.judged.items():
        parts += [report.heading(f"Figures, {part} part, {judged.rows:,} rows"), report.feature_table(judged, units)]
    if "horizons" in pictures and shown:
        parts += [
            report.shown("By horizon", pictures["horizons"], "error by horizon"),
            report.horizon_table(trained.judged[shown], trained.fleet.period_ns if trained.timed else None),
        ]
    if "states" in pictures:
        words = "Left the hidden states over the last rows, right what each unit goes with: the deeper, the closer."
        parts += [report.heading("What the units follow"), report.paragraph(words)]
        parts.append(report.picture(pictures["states"], "hidden states, and what they follow"))
    rows = [(name, str(value)) for name, value in manifest.provenance.items()]
    parts.append(report.folded("Provenance: everything that went into it", report.table(("what", "value"), rows)))
    return report.page(
        f"Training of {manifest.fleet}",
        f"Version {manifest.version} · {describe(manifest)} · {_form(train)} · {trained.seconds:.0f} s",
        parts,
    )


def _network(trained: Trained, train: Train) -> list[str]:
    """Its layers one after the other, and what each number that it is fed is."""
    manifest, fleet = trained.model.manifest, trained.fleet
    layout = InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
    layers = layer_table(manifest, train.batch * layout.row_count, train.window)
    inputs = [(str(i), name) for i, name in enumerate(input_names(fleet, manifest), 1)]
    return [
        report.chain([(name, shape) for name, shape, _ in layers]),
        report.table(("layer", "shape (streams, steps, features)", "parameters"), layers),
        report.folded(f"The {len(inputs)} inputs of a row", report.table(("input", "what"), inputs)),
    ]


def _headline(trained: Trained, shown: str | None) -> str:
    pairs = [("parameters", f"{sum(w.size for w in trained.model.weights.values()):,}")]
    if shown:
        first = trained.judged[shown].horizons[0].overall
        pairs = [
            (f"skill against persistence, {shown}", report.show_share(first.skill)),
            ("skill against seasonal naive", report.show_share(first.skill_seasonal)),
            ("MSE, scaled", report.show(first.mse)),
            ("MAE, scaled", report.show(first.mae)),
            *pairs,
        ]
    return report.tiles([*pairs, ("epochs, kept / run", f"{trained.fit.best} / {len(trained.fit.epochs)}")])


def _form(train: Train) -> str:
    if train.carries_state:
        return f"stateful, segments of {train.segment}"
    return f"windowed, look-back {train.look_back}"
