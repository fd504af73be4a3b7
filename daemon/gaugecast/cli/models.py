"""`gaugecast models …`: which weights there are, which role they have, and changing that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from gaugecast.cli.learned import tell_learning
from gaugecast.cli.models_list import render_models, rows_of
from gaugecast.cli.place import ConfigFile, fleet_called, read_settings
from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, HandOver, ModelsQuery, Promote, Request, RollBack, call
from gaugecast.errors import ModelError, Unreachable, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.autoencoder import Autoencoder
from gaugecast.model import Model, load_model, seal_model
from gaugecast.model.manifest import encode_manifest
from gaugecast.pipeline.fits import check_fits, check_meaning
from gaugecast.service.sweep import Roles, remove
from gaugecast.service.warming import warm
from gaugecast.storage.models import ModelStore
from gaugecast.streams.columns import Columns

models_app = typer.Typer(no_args_is_help=True, help="List, import, copy, try, promote, roll back and remove models.")

Version = Annotated[str, typer.Argument(help="As `gaugecast models list` shows it.")]
FleetName = Annotated[str | None, typer.Option("--fleet", help="Which fleet; not needed where there is one.")]
_NEWEST = 20
#: How long a daemon may take to answer that has to load TensorFlow first, on a small device from a card.
_LOADING_S = 300.0
#: About half a minute of stepping.
_WARM_INPUTS = 500_000


@models_app.command("list")
def list_models(
    config: ConfigFile = None,
    everything: Annotated[bool, typer.Option("--all", help=f"Not only a fleet's newest {_NEWEST}.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: a list of objects.")] = False,
) -> None:
    """Weights on disk, newest last, and what role they have in the running daemon."""
    settings = read_settings(config)
    store, roles = ModelStore(settings.storage.directory), _roles(settings)
    fleets, newest = resolve_fleets(settings), None if everything else _NEWEST
    rows = [row for fleet in fleets for row in rows_of(store, fleet, roles, newest=newest)]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        console = Console()
        console.print(render_models(rows))
        if len(rows) < sum(len(store.versions(fleet.name)) for fleet in fleets):
            console.print(Text(f"the newest {_NEWEST} and those with a role; --all shows all", style="dim"))
        for line in tell_learning(settings):
            console.print(Text(line))


@models_app.command("show")
def show_model(version: Version, config: ConfigFile = None, fleet: FleetName = None) -> None:
    """The manifest of one version: shape, recipe, provenance."""
    settings = read_settings(config)
    name = _fleet_of(settings, fleet).name
    manifest = ModelStore(settings.storage.directory).manifest(name, version)
    Console().print_json(encode_manifest(manifest).decode())


@models_app.command("import")
def import_model(
    source: Annotated[Path, typer.Argument(help="A folder with model.json or detector.json, or a .keras file.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
    forecaster: Annotated[
        bool, typer.Option("--forecaster", help="It forecasts, although it gives as many steps as it is fed.")
    ] = False,
) -> None:
    """Check a model against its fleet and store it; `models shadow` then tries it.

    A folder that `gaugecast autoencoder` left becomes a detector of anomalies; `models promote VERSION` puts it in
    force.
    """
    settings = read_settings(config)
    wanted = _fleet_of(settings, fleet)
    if source.suffix == ".keras":
        from gaugecast.learn.keras_models.importing import import_keras  # TensorFlow, offline, in Keras's safe mode

        model: Model = import_keras(source, wanted, forecaster=forecaster)
    else:
        from gaugecast.learn.autoencoder.saved import holds_detector

        if source.is_dir() and holds_detector(source):
            from gaugecast.learn.autoencoder.served import read_served

            model = read_served(source, wanted)
        else:
            model = _made_by(load_model(source), wanted, "imported")  # no longer the learner's
    _check(model, wanted)
    version = ModelStore(settings.storage.directory).add(wanted.name, model)
    typer.echo(f"{version} is stored for fleet {wanted.name}. Next: {_next(model)}")


@models_app.command("copy")
def copy_model(
    version: Version,
    to: Annotated[str, typer.Option("--to", help="The fleet that is to have it; of the same features and period.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Store a fleet's weights for another fleet of the same shape; `models shadow` then tries them there.

    The other fleet has features of the same names and roles, the same period, and its own statistics: weights forecast
    moves in units of each stream's own scale.
    """
    settings = read_settings(config)
    store, name = ModelStore(settings.storage.directory), _fleet_of(settings, fleet).name
    wanted = _fleet_of(settings, to, option="--to")
    if wanted.name == name:
        raise WrongUse(f"--to: expected another fleet than {name}, whose weights these are")
    found = store.load(name, version)
    copied = _made_by(found, wanted, f"copied from {name}")
    _check(copied, wanted)
    typer.echo(
        f"{store.add(wanted.name, copied)} is stored for fleet {wanted.name}. Next, with --fleet {wanted.name}: "
        f"{_next(copied)}"
    )


def _made_by(model: Model, fleet: Fleet, how: str) -> Model:
    """The same weights for a fleet, of an origin that is not the learner's."""
    manifest = model.manifest
    made_by = f"{how}: {manifest.provenance['made_by']}" if "made_by" in manifest.provenance else how
    provenance = {**manifest.provenance, "made_by": made_by}
    return seal_model(replace(manifest, fleet=fleet.name, provenance=provenance), dict(model.weights))


def _check(model: Model, fleet: Fleet) -> None:
    """Hold a forecaster, or an autoencoder, against the fleet that it is for."""
    if model.manifest.detection is None:
        check_fits(model, fleet)
    else:
        check_meaning(model, fleet, detects=True)


def _next(model: Model) -> str:
    """The command that lets it work."""
    manifest = model.manifest
    if manifest.detection is None:
        return f"gaugecast models shadow {manifest.version}"
    size = Columns(Autoencoder(model, [name for name, _ in manifest.features]).spec(), 1).row_bytes
    return f"gaugecast models promote {manifest.version}, {size:,} bytes of state a stream"


@models_app.command("shadow")
def shadow_model(
    version: Version,
    config: ConfigFile = None,
    fleet: FleetName = None,
    warm_inputs: Annotated[
        int, typer.Option("--warm", min=0, help="Newest inputs of the ledger to warm it with; 0: it begins cold.")
    ] = _WARM_INPUTS,
) -> None:
    """Let stored weights run beside what is in force, unpublished, and be judged.

    First they go over the newest readings of the ledger, so that state and statistics of every stream are there
    from the first step on. How they did on those does not count.
    """
    settings = read_settings(config)
    chosen = _fleet_of(settings, fleet)
    _ask(settings, ModelsQuery())  # without a daemon there is nothing to warm for
    if warm_inputs:
        _warm(settings, chosen, version, warm_inputs)
    request = HandOver(fleet=chosen.name, version=version, role="shadow", reason="asked")
    with Console().status("the daemon gets ready for it, and forecasts meanwhile"):
        _ask(settings, request, timeout_s=_LOADING_S)
    typer.echo(f"{version} runs in shadow; it is promoted when it has proven itself (gaugecast models list)")


def _warm(settings: Settings, fleet: Fleet, version: str, most: int) -> None:
    """Let the model remember the streams, with a bar that shows how far it is."""
    directory = settings.storage.directory
    store = ModelStore(directory)
    model = store.load(fleet.name, version)
    check_fits(model, fleet)
    with Progress(transient=True) as bar:
        task = bar.add_task("warming up on the ledger", total=None)
        chunks = warm(
            directory,
            settings.loop,
            fleet,
            model,
            most=most,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    store.leave_memory(fleet.name, version, chunks)


@models_app.command("promote")
def promote_model(
    version: Annotated[
        str | None, typer.Argument(help="Of an autoencoder; without, the model in shadow is meant.")
    ] = None,
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Put the model in shadow in force now, warm as it is; or an autoencoder, as a detector of anomalies.

    An autoencoder looks for anomalies beside the other detectors of a fleet with a table [fleet.NAME.anomaly]. It has
    its say of a stream once it has seen as many steps as its window has.
    """
    settings = read_settings(config)
    name = _fleet_of(settings, fleet).name
    if version is None:
        _ask(settings, Promote(fleet=name))
        typer.echo("promoted")
        return
    _ask(settings, HandOver(fleet=name, version=version, role="detector", reason="asked"))
    typer.echo(f"{version} looks for anomalies of {name}; `gaugecast models rollback --detector` takes it away")


@models_app.command("rollback")
def roll_back_model(
    config: ConfigFile = None,
    fleet: FleetName = None,
    detector: Annotated[
        bool, typer.Option("--detector", help="Take the autoencoder away instead; forecasts stay as they are.")
    ] = False,
) -> None:
    """Put the last good weights in force again; persistence where there are none."""
    settings = read_settings(config)
    _ask(settings, RollBack(fleet=_fleet_of(settings, fleet).name, detector=detector), timeout_s=_LOADING_S)
    typer.echo("the autoencoder looks no more" if detector else "rolled back")


@models_app.command("remove")
def remove_model(version: Version, config: ConfigFile = None, fleet: FleetName = None) -> None:
    """Delete weights that nothing needs; refused while a role, a checkpoint or a kept event names them."""
    settings = read_settings(config)
    name, directory = _fleet_of(settings, fleet).name, settings.storage.directory
    try:
        roles = Roles.of_answer(_ask(settings, ModelsQuery()))
    except Unreachable:
        roles = Roles(frozenset())  # no daemon runs: the ledger and its checkpoints know
    remove(directory, ModelStore(directory), name, version, roles=roles)
    typer.echo(f"{version} is removed")


def _ask(settings: Settings, request: Request, *, timeout_s: float = 5.0) -> dict[str, Any]:
    return call(settings.storage.directory / SOCKET_NAME, request, timeout_s)


def _fleet_of(settings: Settings, name: str | None, *, option: str = "--fleet") -> Fleet:
    return fleet_called(resolve_fleets(settings), name, option=option)


def _roles(settings: Settings) -> dict[tuple[str, str], tuple[str, float | None]]:
    try:
        answer = _ask(settings, ModelsQuery())
    except (Unreachable, ModelError):
        return {}  # no daemon runs: nothing has a role
    return {
        (fleet, known["version"]): (role, known["skill"])
        for fleet, entry in answer["fleets"].items()
        for role, known in entry["roles"].items()
    }
