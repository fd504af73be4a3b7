"""Caution after a death: a message that trips a defect must not become a crash loop.

While messages are decoded and advanced, a note (`ledger.trail`) says which. A process that finds such a note takes
the messages that it names with care: decodes them one by one, each under a note of its own, and advances them in
groups of `TOGETHER`; where the note named no more than a group, these one by one, too. A message on which two
processes died while they had it alone is quarantined unread: that is three deaths, and a fourth where it trips
`advance` in a large batch.

`kill -9` leaves notes of innocent messages. Alone under way are they for some microseconds, and two kills in a row
would have to find the same one so. That is why notes end before the commit with its slow fsync begins.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from zlib import crc32

from gaugecast.loop.ports import Decodes, Notes
from gaugecast.payloads import Decoded
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Input, Message, Refused

#: A message on which so many processes died while they took it alone is not taken again.
POISON_AFTER = 2
#: Suspects that are advanced and committed together.
TOGETHER = 50

_BATCH, _ALONE = b"B", b"A"


class PoisonGuard:
    """Stands around decode and advance. Owned by the loop's thread.

    Args:
        notes: Where this process leaves word for the next.
        over: The last process ended cleanly; what it left does not count.

    Attributes:
        suspicious: The messages let through last were under way when a process died.
    """

    def __init__(self, notes: Notes, *, over: bool) -> None:
        self.suspicious = False
        self._notes = notes
        self._suspects: set[int] = set()  # checksums of messages in a batch on which a process died
        self._alone = False  # they are few enough to be advanced one by one
        self._deaths: dict[bytes, int] = {}  # by digest, of processes that took it alone
        self._waiting: list[Message] = []
        if not over:
            self._read(notes.found)
        notes.clear()

    def _read(self, note: bytes) -> None:
        if note[:1] == _BATCH:
            self._suspects = set(array("I", note[1:]))
            self._alone = len(self._suspects) <= TOGETHER
        elif note[:1] == _ALONE:
            self._deaths[note[2:]] = note[1]
            self._alone = True

    # -- which messages are taken together

    @property
    def waiting(self) -> bool:
        """Whether messages that were polled wait: then `resume` gives the next, and nothing is polled."""
        return bool(self._waiting)

    def admit(self, messages: list[Message]) -> list[Message]:
        """What of the messages just polled is to be taken now."""
        if not messages or not (self._suspects or self._deaths):
            self.suspicious = False
            return messages
        self._waiting = messages
        return self.resume()

    def resume(self) -> list[Message]:
        """The next of those that wait: as many suspects, or as many others, as stand together."""
        waiting = self._waiting
        self.suspicious = self._suspects_message(waiting[0])
        most = min(len(waiting), TOGETHER) if self.suspicious else len(waiting)
        end = next((i for i in range(1, most) if self._suspects_message(waiting[i]) != self.suspicious), most)
        self._waiting = waiting[end:]
        return waiting[:end]

    def _suspects_message(self, message: Message) -> bool:
        return _checksum(message) in self._suspects or (bool(self._deaths) and _digest(message) in self._deaths)

    # -- taking them

    def decode(self, decoder: Decodes, messages: Sequence[Message], now_ns: int) -> Decoded:
        """`decoder.decode` under notes; what is poison becomes a reject."""
        if not self.suspicious:
            self.note_batch(messages)
            return decoder.decode(messages, now_ns)
        whole = Decoded()
        for position, message in enumerate(messages):
            if self._is_poison(message):
                part = _as_poison(message, now_ns)
            else:
                self._note_alone(message)
                part = decoder.decode([message], now_ns)
            whole.inputs.extend(part.inputs)
            whole.refused.extend(part.refused)
            whole.message_of_input.extend([position] * len(part.inputs))
        return whole

    def advance(
        self, pipeline: Pipeline, inputs: Sequence[Input], pieces: Sequence[tuple[Message | None, int]]
    ) -> Outcome:
        """`pipeline.advance` under notes, which end with it.

        Args:
            pieces: Of suspects the same inputs, message by message: whose they are (`None`: our own), where they end.
        """
        messages = [message for message, _ in pieces if message is not None]
        if self.suspicious and self._alone:
            outcome = _joined(self._advance_alone(pipeline, inputs, pieces))
        else:
            self.note_batch(messages)  # unless it is noted already: then there are no pieces
            outcome = pipeline.advance(inputs)
        self._acquit(messages)
        self._notes.clear()
        return outcome

    def _advance_alone(
        self, pipeline: Pipeline, inputs: Sequence[Input], pieces: Sequence[tuple[Message | None, int]]
    ) -> Iterator[tuple[int, Outcome]]:
        begin = 0
        for message, end in pieces:
            if message is not None and not self._is_poison(message):
                self._note_alone(message)
            yield begin, pipeline.advance(inputs[begin:end])
            begin = end

    def note_batch(self, messages: Sequence[Message]) -> None:
        """Leave word of messages that can come again: those that are acked, and retained ones."""
        checksums = array("I", [_checksum(m) for m in messages if m.qos or m.retain])
        if checksums:
            self._notes.note(_BATCH + checksums.tobytes())

    def _note_alone(self, message: Message) -> None:
        digest = _digest(message)
        self._notes.note(_ALONE + bytes([self._deaths.get(digest, 0) + 1]) + digest)

    def _is_poison(self, message: Message) -> bool:
        return self._deaths.get(_digest(message), 0) >= POISON_AFTER

    def _acquit(self, messages: Sequence[Message]) -> None:
        """They were taken, and we live; poison stays poison, for it may be retained and come again."""
        for message in messages:
            self._suspects.discard(_checksum(message))
            if not self._is_poison(message):
                self._deaths.pop(_digest(message), None)


def _checksum(message: Message) -> int:
    return crc32(message.payload, crc32(message.topic.encode("utf-8", "surrogatepass")))


def _digest(message: Message) -> bytes:
    topic = message.topic.encode("utf-8", "surrogatepass")
    return blake2b(topic + b"\0" + message.payload, digest_size=16).digest()


def _joined(parts: Iterator[tuple[int, Outcome]]) -> Outcome:
    """Outcomes of consecutive pieces as that of the whole; each comes with where its inputs begin."""
    whole = Outcome([], [])
    for begin, part in parts:
        whole.verdicts.extend(part.verdicts)
        whole.outputs.extend(output._replace(cause=output.cause + begin) for output in part.outputs)
        whole.parked.extend(part.parked)
        whole.refused.extend(part.refused)
        whole.traces.extend(part.traces)
    return whole


def _as_poison(message: Message, now_ns: int) -> Decoded:
    """A message that must not be looked at any more: one reject, and its first bytes for the quarantine."""
    reject = Input.reject("poison", now_ns, dup=message.dup)
    row = Refused(now_ns, "", "", message.topic, "poison", "three processes died on it", message.payload[:256])
    return Decoded([reject], [row])
