"""A message that kills is put aside after three deaths; innocent ones are not, and nothing crawls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gaugecast.batch import Outputs
from gaugecast.config.schema import Loop
from gaugecast.errors import StorageError
from gaugecast.fleet import Feature, Fleet
from gaugecast.loop.poison_guard import PoisonGuard
from gaugecast.payloads import Decoded, Decoder
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Input, Message, Order, Verdict
from gaugecast.storage.crash_note import CrashNote

TANKS = Fleet("tanks", ("t/{tank}",), "{tank}", (Feature("p", path=("p",)),), 10**9, time_path=("t",))
NOW_NS = 10**18


class Death(Exception):
    """A defect: it ends the process."""


class Kill(BaseException):
    """The process is gone, without a chance to do anything about it."""


def message(second: int, *, tank: str = "a", poison: bool = False) -> Message:
    """A reading; redelivered ones need not say so."""
    body = b'{"t": %d, "p": %s}' % (second, b"666" if poison else b"1")
    return Message(f"t/{tank}", body, 1, False, False, 1 + second, 1)


class Process:
    """One life, with a decoder or a pipeline that dies of the number 666."""

    def __init__(self, directory: Path, dies_in: str, death: type[BaseException] = Death, *, most: int = 1000) -> None:
        self._most = most
        self.notes = CrashNote(directory)
        self.guard = PoisonGuard(self.notes, over=False)
        self._death = death
        self._decoder = Decoder((TANKS,), Loop())
        self._pipeline = Pipeline(Loop(), lambda *_: pytest.fail("no model"))
        self._pipeline.advance([Order.configuring(TANKS).stamped(1)])
        self._dies_in = dies_in
        self.sizes: list[int] = []

    def decode(self, messages: Sequence[Message], now_ns: int, most: int) -> Decoded:
        if self._dies_in == "decode" and any(b"666" in m.payload for m in messages):
            raise self._death
        return self._decoder.decode(messages, now_ns, most)

    def advance(self, inputs: Sequence[Input]) -> Outcome:
        if self._dies_in == "advance" and any(i.values[:8] == b"\0\0\0\0\0\xd0\x84\x40" for i in inputs):
            raise self._death
        return self._pipeline.advance(inputs)

    def take(self, messages: list[Message]) -> tuple[list[Input], Outcome]:
        """What the loop does with a poll's messages; all outcomes in one list."""
        inputs: list[Input] = []
        whole = Outcome([], Outputs())
        while messages:
            part = messages[: self.guard.span(messages)]
            decoded = self.guard.decode(self, part, NOW_NS, self._most)
            part, messages = messages[: decoded.messages], messages[decoded.messages :]
            self.sizes.append(len(part))
            with self.guard.blaming():
                outcome = self.advance(decoded.inputs)
            self.guard.survived(part)
            whole.verdicts.extend(outcome.verdicts)
            whole.outputs.extend(o._replace(cause=o.cause + len(inputs)) for o in outcome.outputs)
            inputs += decoded.inputs
        return inputs, whole


@pytest.mark.parametrize("dies_in", ["decode", "advance"])
@pytest.mark.parametrize("count", [20, 300])
def test_a_message_that_kills_is_put_aside(tmp_path: Path, dies_in: str, count: int) -> None:
    """After the first death in a batch and two of it alone; then all others are taken, in order."""
    messages = [message(i, tank="ab"[i % 2], poison=i == 7) for i in range(count)]
    for _ in range(3):
        with pytest.raises(Death):
            Process(tmp_path, dies_in).take(messages)
    inputs, outcome = Process(tmp_path, dies_in).take(messages)
    assert [i for i, one in enumerate(inputs) if one.reason == "poison"] == [7]
    assert [v for i, v in enumerate(outcome.verdicts) if i != 7] == [Verdict.STEPPED] * (count - 1)
    assert [o.cause for o in outcome.outputs] == [i for i in range(count) if i != 7]


def test_one_by_one_and_as_a_batch_give_the_same(tmp_path: Path) -> None:
    """Care costs time, never a bit."""
    messages = [message(i, tank="abc"[i % 3]) for i in range(30)]
    plain = Process(tmp_path / "..", "").take(messages)[1]
    dead = Process(tmp_path, "")
    dead.guard.note_batch(messages)
    dead.notes.blame("a defect")
    careful = Process(tmp_path, "")
    found = careful.take(messages)[1]
    assert careful.sizes == [1] * 30
    assert [o[1:] for o in found.outputs] == [o[1:] for o in plain.outputs]


def test_only_what_was_under_way_is_taken_one_by_one(tmp_path: Path) -> None:
    """Messages before and after go as batches; and whoever was taken is no suspect any more."""
    messages = [message(i) for i in range(200)]
    dead = Process(tmp_path, "")
    dead.guard.note_batch(messages[20:75])
    dead.notes.blame("a defect")
    process = Process(tmp_path, "")
    process.take(messages)
    assert process.sizes == [20, *[1] * 55, 125]
    process.sizes.clear()
    process.take(messages)
    assert process.sizes == [200]


@pytest.mark.parametrize("first_qos", [0, 1])
def test_what_a_full_batch_left_waiting_is_no_suspect(tmp_path: Path, first_qos: int) -> None:
    """The decoder stopped before it, so the death in `advance` was not its doing."""
    messages = [message(i, poison=i == 3)._replace(qos=first_qos if i < 5 else 1) for i in range(20)]
    with pytest.raises(Death):
        Process(tmp_path, "advance", most=5).take(messages)
    guard = Process(tmp_path, "").guard
    assert guard.span(messages[:5]) == (1 if first_qos else 5)
    assert guard.span(messages[5:]) == 15


def test_a_death_between_batches_leaves_no_suspects(tmp_path: Path) -> None:
    """Most deaths hit commits, polls and publishes."""
    process = Process(tmp_path, "")
    process.take([message(i) for i in range(10)])
    process.notes.blame("a defect in a commit")
    assert CrashNote(tmp_path).found == b""


@pytest.mark.parametrize("dies_in", ["decode", "advance"])
def test_no_number_of_kills_makes_an_innocent_message_poison(tmp_path: Path, dies_in: str) -> None:
    """A large message is under way for long: random kills find it there again and again."""
    messages = [message(i, poison=i == 3) for i in range(8)]
    for _ in range(20):
        with pytest.raises(Kill):
            Process(tmp_path, dies_in, Kill).take(messages)
    process = Process(tmp_path, "")
    inputs, outcome = process.take(messages)
    assert not any(one.reason == "poison" for one in inputs)
    assert outcome.verdicts == [Verdict.STEPPED] * 8
    assert process.sizes == [8]


def test_kills_between_its_deaths_do_not_acquit_a_message(tmp_path: Path) -> None:
    """What was known of a message that is taken alone holds, whatever ended the process that had it."""
    messages = [message(i, poison=i == 3) for i in range(8)]
    for death in (Death, Death, Kill, Kill, Death):
        with pytest.raises(death):
            Process(tmp_path, "decode", death).take(messages)
    inputs, _ = Process(tmp_path, "decode").take(messages)
    assert [one.reason for one in inputs].count("poison") == 1


def test_a_disk_that_fails_blames_no_message(tmp_path: Path) -> None:
    """Weights that an event names cannot be read: that is no message's doing."""
    for _ in range(4):
        with pytest.raises(StorageError):
            Process(tmp_path, "advance", StorageError).take([message(0, poison=True)])
    inputs, _ = Process(tmp_path, "").take([message(0, poison=True)])
    assert inputs[0].reason == ""


def test_two_deaths_in_the_same_alone_message_are_needed_to_blame_it(tmp_path: Path) -> None:
    """One death while a message is taken alone does not put it aside."""
    messages = [message(i, poison=i == 3) for i in range(8)]
    for _ in range(2):
        with pytest.raises(Death):
            Process(tmp_path, "decode").take(messages)
    inputs, outcome = Process(tmp_path, "").take(messages)
    assert not any(one.reason == "poison" for one in inputs)
    assert outcome.verdicts == [Verdict.STEPPED] * 8


def test_poison_that_the_broker_retained_stays_aside(tmp_path: Path) -> None:
    """It comes again with every subscription."""
    messages = [message(i, poison=i == 2) for i in range(5)]
    for _ in range(3):
        with pytest.raises(Death):
            Process(tmp_path, "decode").take(messages)
    process = Process(tmp_path, "decode")
    process.take(messages)
    inputs, _ = process.take([message(2, poison=True)])
    assert inputs[0].reason == "poison"
