"""One stream out of the ledger, alone, from a checkpoint on: whatever it was called meanwhile, step by step, and held
against what was published. The rest of its fleet is left out: no forecast depends on other streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gaugecast import events
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import StorageError, WrongUse
from gaugecast.forecast.message import SCHEMA
from gaugecast.ledger.reads import Reader
from gaugecast.ledger.rows import StoredBatch, StoredOutput
from gaugecast.loop.recovery import Restored, count_differing, machine_of, restore_newest
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import LAST_NS, Input, Kind, Output, Verdict
from gaugecast.storage import checkpoints

#: For those who cannot wait: inputs of all streams between the checkpoint and the last step, which is seconds of
#: reading; and readings of the stream, each a step, of a millisecond or some.
MOST_INPUTS, MOST_OWN = 300_000, 10_000


class Called(NamedTuple):
    """What a stream was called with the inputs `after` < seq ≤ `upto`."""

    name: str
    after: int
    upto: int


class OneStream:
    """What bears on one stream, up to the last reading that is meant. One thread.

    Attributes:
        fleet: Whose it is.
        first, last: Seqs of the first and the last reading that are meant.

    Args:
        ledger: Open; only read.
        fleet: Whose it is.
        called: Its names, the newest first.
        window: `first` and `last`.
        to_ns: No reading of the window has a later event time.
    """

    def __init__(
        self, ledger: Reader, fleet: str, called: Sequence[Called], window: tuple[int, int], to_ns: int = LAST_NS
    ) -> None:
        self._ledger, self.fleet, self._called = ledger, fleet, called
        self.first, self.last = window
        self._to_ns = to_ns
        self._stretch = (0, 0)
        self._published: dict[int, list[StoredOutput]] | None = None

    @classmethod
    def find(
        cls, ledger: Reader, fleet: str, stream: str, *, to_ns: int, most: int, from_ns: int | None = None
    ) -> OneStream | None:
        """By the stream's name at the newest of its readings with at ≤ `to_ns`.

        Args:
            most: Readings that are meant, the newest.
            from_ns: None that is older; where all are, the newest of them alone.

        Returns:
            `None` where it has no such reading.
        """
        newest = _seqs(ledger, fleet, [Called(stream, 0, 1 << 62)], (None, to_ns), 1)
        if not newest:
            return None
        called = _names(ledger, fleet, stream, newest[0])
        seqs = _seqs(ledger, fleet, called, (from_ns, to_ns), most) or newest
        return cls(ledger, fleet, called, (min(seqs), max(seqs)), to_ns)

    def name_at(self, seq: int) -> str:
        """What it is called when this input comes, or whoever left it the name: step numbers go on from there."""
        return next((one.name for one in self._called if one.after < seq), self._called[-1].name)

    def its(self, made: Iterable[Output], seq: int) -> list[Output]:
        """Of what an input brought forth, what is said of the stream; a new name is in force with the renaming."""
        names = {self.name_at(seq), self.name_at(seq + 1)}
        return [one for one in made if one.fleet == self.fleet and one.stream in names]

    # -- where it begins

    def restore(
        self, directory: Path, new_pipeline: Callable[[], Pipeline], *, far: bool = True, oldest: bool = False
    ) -> Restored:
        """A pipeline in which it stands alone, as a checkpoint before its first step has it.

        Args:
            directory: State directory; only read.
            new_pipeline: Makes an empty one.
            far: However far away that is; otherwise within `MOST_INPUTS` and `MOST_OWN`.
            oldest: The oldest one, not the nearest.

        Raises:
            WrongUse: None is kept from which these steps would be exact, or it is too far away.
            StorageError: None can be read.
        """
        exact = checkpoints.oldest_exact(directory, self._ledger.first_seq)
        if exact is None or self.first <= exact:
            raise WrongUse(
                f"no checkpoint of that time is kept any more: inputs from {(exact or 0) + 1} on can be computed "
                f"again, these begin at {self.first}"
            )
        upto = exact if oldest else self.first - 1
        restored = restore_newest(directory, new_pipeline, upto_seq=upto, choose=checkpoints.at_or_before)
        if restored.seq < exact:
            raise StorageError("; ".join(restored.passed_over) or f"{directory}: no checkpoint from {exact} on")
        if not far:
            self._check_near(restored.seq)
        self._leave_alone(restored)
        return restored

    def _check_near(self, seq: int) -> None:
        """Before anything is stepped."""
        count = self.last - seq
        if count > MOST_INPUTS:
            raise _too_far(count, MOST_INPUTS, "inputs", seq)
        called = [Called(one.name, max(one.after, seq), min(one.upto, self.last)) for one in self._called]
        steps = len(_seqs(self._ledger, self.fleet, called, (None, self._to_ns), MOST_OWN + 1))
        if steps > MOST_OWN:
            raise _too_far(steps, MOST_OWN, "steps", seq)

    def _leave_alone(self, restored: Restored) -> None:
        pipeline, name = restored.pipeline, self.name_at(restored.seq + 1)
        pipeline.parts = {fleet: part for fleet, part in pipeline.parts.items() if fleet == self.fleet}
        for part in pipeline.parts.values():
            for other in [each for each in part.table.slots if each != name]:
                part.table.remove(other)

    # -- step by step

    def steps(
        self,
        pipeline: Pipeline,
        after_seq: int,
        *,
        apart: Callable[[Input], bool] = lambda _: False,
        progress: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> Iterator[tuple[Input, int]]:
        """Inputs from the first reading that is meant on, with their seqs, for the caller to take one by one.

        Args:
            pipeline: As it stands after `after_seq`; what comes before is taken on the way, together.
            after_seq: As of `restore`.
            apart: Whether the caller wants to take an input from before, too.
            progress: Told inputs done, and how many there are.
        """
        waiting: list[Input] = []

        def take() -> None:
            if waiting:
                pipeline.advance(waiting)
                waiting.clear()

        for batch in self._ledger.replay(after_seq, upto_seq=self.last):
            own = list(self._own(batch, known=pipeline.knows(self.fleet, self.name_at(batch.first_seq))))
            self._stretch, self._published = (own[0][1], own[-1][1]) if own else (0, 0), None
            for one, seq in own:
                if seq < self.first and not apart(one):
                    waiting.append(one)
                    if seq == self._called[-1].after:
                        take()
                        _empty(pipeline)
                    continue
                take()
                yield one, seq
            take()
            progress(batch.first_seq + len(batch.inputs) - 1 - after_seq, self.last - after_seq)

    def _own(self, batch: StoredBatch, *, known: bool) -> Iterator[tuple[Input, int]]:
        """Readings of the stream, events of it or of all, and the time; what was refused before it could begin is
        none of it, for here is room."""
        rows = batch.inputs
        for i, kind in enumerate(rows.kind):
            name, seq = rows.stream[i], batch.first_seq + i
            if kind == Kind.READING:
                own = rows.fleet[i] == self.fleet and name == self.name_at(seq)
                own = own and (known or batch.verdicts[i] != Verdict.REJECTED)
                known |= own
            else:
                own = kind in (Kind.TIMER, Kind.EVENT) and rows.fleet[i] in ("", self.fleet)
                own = own and name in ("", self.name_at(seq))
            if own:
                yield rows[i], seq

    def published(self, seq: int) -> list[StoredOutput]:
        """What was said of the stream with an input that `steps` gave last."""
        if self._published is None:
            self._published = {}
            first, last = self._stretch
            for one in self._ledger.outputs(max(first, self.first) - 1, last):
                if one.fleet == self.fleet and one.stream in (self.name_at(one.seq), self.name_at(one.seq + 1)):
                    self._published.setdefault(one.seq, []).append(one)
        return self._published.get(seq, [])


class Held:
    """What comes out of a stream's steps, held against what was published: byte for byte, within a tolerance where
    another machine made it.

    Attributes:
        compared: Messages, of which so many `differing`.
        elsewhere: Another machine made some.
    """

    def __init__(self, ledger: Reader, one: OneStream) -> None:
        self._one, self._same_machine = one, machine_of(ledger, fingerprint())
        self.compared = self.differing = 0
        self.elsewhere = False

    def take(self, pipeline: Pipeline, given: Input, seq: int) -> tuple[Outcome, list[Output]]:
        """Have the pipeline take an input; what came of it, and what of that is said of the stream."""
        of_today, exact = pipeline.schema >= SCHEMA, self._same_machine(seq)
        outcome = pipeline.advance([given])
        made = self._one.its(outcome.outputs, seq)
        self.compared += len(made)
        self.elsewhere |= not exact
        self.differing += count_differing(made, iter(self._one.published(seq)), exact=exact, bodies=of_today)
        return outcome, made


def _empty(pipeline: Pipeline) -> None:
    """Whoever left the name goes on under another."""
    for part in pipeline.parts.values():
        for name in list(part.table.slots):
            part.table.remove(name)


def _names(ledger: Reader, fleet: str, stream: str, seq: int) -> list[Called]:
    """What a stream has been called that is called so at an input, the newest name first."""
    called: list[Called] = []
    upto = 1 << 62
    for at, name, event in reversed(ledger.events()):
        if at >= seq or name != fleet or not isinstance(event, events.StreamRenamed):
            continue
        for batch in ledger.replay(at - 1, upto_seq=at):
            before = batch.inputs.stream[0]
            if stream in (before, event.to):
                called.append(Called(stream, at, upto))
            if stream == before:  # that one left the name to this one, which began later
                return called
            if stream == event.to:
                stream, upto = before, at
    return [*called, Called(stream, 0, upto)]


def _seqs(
    ledger: Reader, fleet: str, called: Sequence[Called], between: tuple[int | None, int], most: int
) -> list[int]:
    """Seqs of the stream's newest readings between two event times, both included, the newest first."""
    from_ns, to_ns = between
    found: list[int] = []
    for one in called:
        end_ns = min(to_ns, LAST_NS) + 1
        for page in ledger.history(fleet, one.name, from_ns=from_ns, to_ns=end_ns, most=most):
            seqs = page.readings.seqs
            found += seqs[(seqs > one.after) & (seqs <= one.upto)].tolist()
            if len(found) >= most or (len(seqs) and seqs[-1] <= one.after):
                break
        if len(found) >= most:
            break
    return found[:most]


def _too_far(count: int, most: int, what: str, seq: int) -> WrongUse:
    return WrongUse(
        f"the last checkpoint before is {count:,} {what} away, more than {most:,}; `gaugecast explain` goes as far as "
        f"one likes, and `gaugecast replay --at {seq} --out FILE` computes all messages since then"
    )
