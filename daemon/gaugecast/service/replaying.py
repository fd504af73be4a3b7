"""`replay`: the same `advance` once more, over a ledger or a file, held against what was published then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gaugecast import events
from gaugecast.config.schema import Loop, Settings
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert
from gaugecast.forecast.message import SCHEMA
from gaugecast.loop.models import shipped_model
from gaugecast.loop.recovery import count_differing, machine_of, restore_newest
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.records import Input, Output
from gaugecast.service.opening import open_models, open_reader
from gaugecast.storage import checkpoints


@dataclass(slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        from_seq: Inputs after this one were taken again.
        differing: Outputs whose bytes are not those that were published; within a tolerance where `elsewhere`.
        elsewhere: Some were first made on another machine.
    """

    from_seq: int
    inputs: int = 0
    outputs: int = 0
    differing: int = 0
    elsewhere: bool = False


def replay_ledger(
    directory: Path,
    limits: Loop,
    *,
    at: int | None = None,
    upto: int | None = None,
    each: Callable[[Output], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Replayed:
    """Take the inputs of a state directory again, and compare every output with the stored one, byte for byte
    where the machine is the one that made it.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
        at: Begin at the newest kept checkpoint that is not after this input; default: the oldest exact one.
        upto: Last input to take.
        each: Told every recomputed output.
        progress: Told inputs done, and how many there are.

    Raises:
        StorageError: No ledger, or no checkpoint from which a replay is exact.
    """
    with open_reader(directory) as ledger:
        exact = checkpoints.oldest_exact(directory, ledger.first_seq)
        if exact is None or (at is not None and at < exact):
            raise StorageError(f"a position from {exact if exact is not None else '(none)'} on expected, got {at}")
        wanted = exact if at is None else at
        store = open_models(directory)
        pipeline, seq, passed_over = restore_newest(
            directory, lambda: Pipeline(limits, store.load), upto_seq=wanted, choose=checkpoints.at_or_before
        )
        if seq < exact:
            raise StorageError("; ".join(passed_over) or f"{directory}: no checkpoint from {exact} on")
        report, same_machine = Replayed(seq), machine_of(ledger, fingerprint())
        last = ledger.last_seq if upto is None else upto
        for batch in ledger.replay(report.from_seq, upto_seq=last):
            of_today = pipeline.schema >= SCHEMA
            outcome = pipeline.advance(batch.inputs)
            end = batch.first_seq + len(batch.inputs) - 1
            exact = same_machine(batch.first_seq)
            report.elsewhere |= not exact
            stored = ledger.outputs(batch.first_seq - 1, end)
            report.differing += count_differing(outcome.outputs, stored, exact=exact, bodies=of_today)
            report.inputs += len(batch.inputs)
            report.outputs += len(outcome.outputs)
            for output in outcome.outputs:
                each(output)
            progress(report.inputs, last - report.from_seq)
        return report


def replay_inputs(
    settings: Settings, fleet: Fleet, batches: Iterable[list[Input]], *, each: Callable[[Output], None]
) -> FleetPipeline:
    """Take readings of one fleet from elsewhere through a new pipeline, with the model that is in force, if any."""
    solo = SoloPipeline([(fleet, model_in_force(settings.storage.directory, fleet))], settings.loop)
    for batch in batches:
        for output in solo.advance(batch).outputs:
            each(output)
    return solo.part(fleet.name)


def model_in_force(directory: Path, fleet: Fleet) -> Model | None:
    """The weights that forecast a fleet in a state directory; where there is no ledger yet those that it would begin
    with; `None` = the last value is repeated.

    Raises:
        ModelError: They cannot be read.
    """
    try:
        version = _version_in_force(directory, fleet.name)
    except StorageError:
        return shipped_model(fleet)
    shipped = shipped_model(fleet)
    if shipped is not None and version == shipped.manifest.version:
        return shipped
    return open_models(directory).load(fleet.name, version) if version else None


def _version_in_force(directory: Path, fleet: str) -> str:
    """By the newest checkpoint, and the events since; empty = nothing is in force."""
    version, seq = "", 0
    with open_reader(directory) as ledger:
        checkpoint = checkpoints.newest(directory, ledger.last_seq)
        if checkpoint is not None:
            with checkpoint:
                seq = checkpoint.seq
                version = checkpoint.header["fleets"].get(fleet, {}).get("models", {}).get("in_force", "")
        for _, name, event in ledger.events(seq):
            match event:
                case events.ModelInstalled(role="in_force") | events.ShadowPromoted() if name == fleet:
                    version = event.version
                case events.FleetRetired() if name == fleet:
                    version = ""
    return version


def expert_of(directory: Path, limits: Loop, stream: str, *, fleet: str | None = None) -> tuple[Expert, int] | None:
    """The model in force at work on a stream as it stands at the ledger's end, and the stream's slot; `None` = none.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
        stream: The stream's id.
        fleet: Only of this fleet.

    Raises:
        StorageError: There is no ledger, or no checkpoint that can be read.
    """
    store = open_models(directory)
    with open_reader(directory) as ledger:
        pipeline, seq, passed_over = restore_newest(
            directory, lambda: Pipeline(limits, store.load), upto_seq=ledger.last_seq
        )
        if seq == 0 and ledger.first_seq > 1:
            raise StorageError("; ".join(passed_over) or f"{directory}: expected a checkpoint, found none")
        for batch in ledger.replay(seq):
            pipeline.advance(batch.inputs)
    for name, part in pipeline.parts.items():
        slot = part.table.slots.get(stream)
        if fleet in (None, name) and slot is not None and part.in_force is not None:
            return part.in_force, slot
    return None
