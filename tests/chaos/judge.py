"""The verdict: what was offered, what the ledger holds, what the world saw and what the state is, held together."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from chaos.collector import Seen
from chaos.reference import Reference
from chaos.scenario import FLEET, said_of
from gaugecast.config.schema import Loop
from gaugecast.ledger.reader import LedgerReader
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline import state as pipeline_state
from gaugecast.records import Kind, Verdict
from gaugecast.storage import checkpoints
from gaugecast.streams.snapshot import Slice

#: Columns that hold arrival times, or what is only looked at beside them; all others must be equal to the bit.
_OF_ARRIVAL = {"received", "open_received", "late_run", "late_first_at", "late_at", "late_received"}
#: Identical copies after one kill: the window, and what was confirmed since the last commit (two of 1,000 at most).
MOST_DUPLICATES = 2200


@dataclass(slots=True)
class Findings:
    """Of one run; all but `kills`, `readings` and the duplicates should be zero.

    Attributes:
        lost: Readings without a step, and forecasts that nobody received.
        twice: Steps beyond the first of one reading, and forecasts of steps that should not be.
        differing: Forecasts, ledger rows, copies or state columns that are not those of an uninterrupted run.
        unaccounted: Readings that the daemon's own counts do not explain.
        disordered: First copies that overtook an earlier one of their stream.
        mishaps: Processes that died by themselves, or did not stop as asked.
        duplicates_per_kill: Largest number of further copies after one kill.
        notes: What exactly was found, for people.
    """

    kills: int
    readings: int
    lost: int = 0
    twice: int = 0
    differing: int = 0
    unaccounted: int = 0
    disordered: int = 0
    mishaps: int = 0
    duplicates_per_kill: int = 0
    duplicates_mean: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def red(self) -> bool:
        """Whether a promise was broken."""
        wrong = self.lost + self.twice + self.differing + self.unaccounted + self.disordered + self.mishaps
        return wrong > 0 or self.duplicates_per_kill > MOST_DUPLICATES

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def include(self, other: Findings, place: str) -> None:
        """Add what another run found; its notes begin with `place`."""
        for name in ("kills", "readings", "lost", "twice", "differing", "unaccounted", "disordered", "mishaps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += [place + note for note in other.notes]

    def note(self, count: int, what: str) -> int:
        """Keep a remark if there is anything to remark."""
        if count:
            self.notes.append(f"{count} {what}")
        return count


def judge(
    findings: Findings, state: Path, reference: Reference, seen: Seen, *, kills_ns: list[int], log: str
) -> Findings:
    """Fill in everything but `unaccounted`, which begins with what the lives' metrics left open."""
    with LedgerReader(state) as ledger:
        verdicts = _judge_inputs(findings, ledger, reference)
        _judge_outputs(findings, ledger, reference)
        last_seq = ledger.last_seq
    _judge_published(findings, seen, reference)
    _judge_state(findings, state, reference, last_seq, verdicts)
    replays = sum(int(n) for n in re.findall(r"recovered .*differing=(\d+)", log))
    findings.differing += findings.note(replays, "outputs differing in recoveries")
    counts = seen.duplicates_after(kills_ns)
    findings.duplicates_per_kill = max(counts)
    findings.duplicates_mean = round(sum(counts) / max(1, len(kills_ns)), 2)
    return findings


def _judge_inputs(findings: Findings, ledger: LedgerReader, reference: Reference) -> Counter[int]:
    stepped: dict[str, Counter[int]] = {}
    verdicts: Counter[int] = Counter()
    for batch in ledger.replay(0):
        for one, verdict in zip(batch.inputs, batch.verdicts, strict=True):
            if one.kind not in (Kind.READING, Kind.REJECT):
                continue
            verdicts[verdict] += 1
            if verdict == Verdict.STEPPED:
                stepped.setdefault(one.stream, Counter())[one.at_ns] += 1
    for stream, keys in reference.keys.items():
        counts = stepped.get(stream, Counter())
        findings.lost += findings.note(sum(key not in counts for key in keys), f"readings of {stream} never stepped")
        findings.twice += findings.note(sum(counts.values()) - len(counts), f"readings of {stream} stepped again")
        findings.twice += findings.note(sum(key not in keys for key in counts), f"steps of {stream} without a reading")
    return verdicts


def _judge_outputs(findings: Findings, ledger: LedgerReader, reference: Reference) -> None:
    off = 0
    for row in ledger.outputs(0, ledger.last_seq):
        what = said_of(row.stream, crossing=row.kind != 0)
        body = reference.bodies.get(what, {}).get(row.step)
        forecast = reference.forecasts.get(what, {}).get(row.step)
        off += body is None or body[1] != row.body_crc or forecast != hash(row.forecast)
    findings.differing += findings.note(off, "rows of the ledger's outputs")


def _judge_published(findings: Findings, seen: Seen, reference: Reference) -> None:
    findings.differing += findings.note(seen.torn, "copies unlike the first one")
    findings.disordered += findings.note(seen.disordered, "first copies out of order")
    for stream, expected in reference.bodies.items():
        got = seen.bodies.get(stream, {})
        findings.lost += findings.note(sum(step not in got for step in expected), f"forecasts of {stream} not received")
        off = sum(expected[step][0] != content for step, content in got.items() if step in expected)
        findings.differing += findings.note(off, f"bodies of {stream}")
        extra = sum(step not in expected for step in got)
        findings.twice += findings.note(extra, f"forecasts of {stream} that should not be")


def _judge_state(findings: Findings, state: Path, reference: Reference, last_seq: int, verdicts: Counter[int]) -> None:
    """The last checkpoint against the reference's columns, and its totals against the ledger's verdicts."""
    checkpoint = checkpoints.newest(state)
    if checkpoint is None:
        findings.differing += findings.note(1, "checkpoint missing after an orderly stop")
        return
    with checkpoint:
        findings.differing += findings.note(int(checkpoint.seq != last_seq), "checkpoint not at the ledger's end")
        pipeline = Pipeline(Loop(), reference.pipeline.load_model)
        pipeline_state.restore(pipeline, checkpoint.header, (Slice(*chunk) for chunk in checkpoint.chunks()))
    findings.differing += _count_differing_columns(findings, pipeline, reference.pipeline)
    totals = pipeline.parts[FLEET].totals
    pairs = (
        (verdicts[Verdict.STEPPED], totals.stepped),
        (verdicts[Verdict.LATE], totals.late),
        (verdicts[Verdict.DUPLICATE], totals.duplicate),
        (verdicts[Verdict.REJECTED], sum(pipeline.rejects.values())),
        (verdicts[Verdict.HELD], totals.held),
    )
    off = sum(abs(rows - counted) for rows, counted in pairs)
    findings.unaccounted += findings.note(off, f"between the ledger's verdicts and the totals: {pairs}")


def _count_differing_columns(findings: Findings, ours: Pipeline, theirs: Pipeline) -> int:
    """(stream, column) pairs whose bytes differ."""
    part, expected = ours.parts[FLEET], theirs.parts[FLEET]
    names = sorted(expected.table.slots)
    if sorted(part.table.slots) != names:
        return findings.note(len(set(part.table.slots) ^ set(names)), "streams in one state and not in the other")
    rows = [np.array([table.slots[name] for name in names]) for table in (part.table, expected.table)]
    off = 0
    if set(part.tables()) != set(expected.tables()):
        return findings.note(1, f"models in force: {sorted(expected.tables())} expected, got {sorted(part.tables())}")
    for name, columns in expected.tables().items():
        for column, array in columns:
            if column in _OF_ARRIVAL:
                continue
            got, want = part.tables()[name][column][rows[0]], array[rows[1]]
            differing = sum(g.tobytes() != w.tobytes() for g, w in zip(got, want, strict=True))
            off += findings.note(differing, f"streams whose column {name}/{column} differs")
    return off
