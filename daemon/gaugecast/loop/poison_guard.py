"""The guard against poison: a message that trips a defect must not become a crash loop.

While messages are decoded and advanced, a note (`storage.crash_note`) says which. A process that finds such a note,
and the trace of a death of the process's own doing beside it, takes the messages that it names with care: one by one,
each under a note of its own, each in a commit of its own. A message on which two processes died while they had it alone
is quarantined unread: that is three deaths, the first of them in a batch.

`kill -9`, an empty battery and the kernel's out-of-memory killer find innocent messages under way: a message of some
thousand readings is, for as long as it takes to step them. They leave no trace, and their notes do not count. Notes end
before the commit with its slow fsync begins: what fails there is no message's doing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from zlib import crc32

from gaugecast.batch import Inputs
from gaugecast.errors import SessionTaken, StorageError
from gaugecast.loop.ports import Decodes, Notes
from gaugecast.payloads import Decoded
from gaugecast.records import Input, Message, Refused

#: A message on which so many processes died while they took it alone is not taken again.
POISON_AFTER = 2

_BATCH, _ALONE = b"B", b"A"


class PoisonGuard:
    """Stands around decode and advance. Owned by the loop's thread.

    Args:
        notes: Where this process leaves word for the next.
        over: The last process ended cleanly; what it left does not count.

    Attributes:
        suspicious: The message let through last was under way when a process died.
    """

    def __init__(self, notes: Notes, *, over: bool) -> None:
        self.suspicious = False
        self._notes = notes
        self._suspects: set[int] = set()  # checksums of messages in a batch on which a process died
        self._deaths: dict[bytes, int] = {}  # by digest, of processes that took it alone
        if not over:
            self._read(notes.found, blamed=notes.blamed)
        notes.clear()

    def _read(self, note: bytes, *, blamed: bool) -> None:
        if note[:1] == _BATCH and blamed:
            self._suspects = set(array("I", note[1:]))
        elif note[:1] == _ALONE:  # what was known before holds, whatever ended the last process
            self._deaths[note[2:]] = note[1] if blamed else note[1] - 1

    # -- which messages are taken together

    def span(self, messages: Sequence[Message]) -> int:
        """How many of the first of these are to be taken together: one suspect, or all up to the next suspect."""
        if not messages or not (self._suspects or self._deaths):
            self.suspicious = False
            return len(messages)
        self.suspicious = self._suspects_message(messages[0])
        most = 1 if self.suspicious else len(messages)
        return next((i for i in range(1, most) if self._suspects_message(messages[i])), most)

    def _suspects_message(self, message: Message) -> bool:
        return _checksum(message) in self._suspects or (bool(self._deaths) and _digest(message) in self._deaths)

    # -- taking them

    def decode(self, decoder: Decodes, messages: Sequence[Message], now_ns: int, most: int) -> Decoded:
        """`decoder.decode` under a note, which holds until `survived`; what is poison becomes a reject.

        Args:
            messages: As many as `span` says, or fewer.
            most: Readings at which the decoder stops. What it has not come to is not under way any more.
        """
        if not self.suspicious or not messages:
            self.note_batch(messages)
        elif self._is_poison(messages[0]):
            return _as_poison(messages[0], now_ns)
        else:
            self._note_alone(messages[0])
        with self.blaming():
            decoded = decoder.decode(messages, now_ns, most)
        if decoded.messages < len(messages):
            self.note_batch(messages[: decoded.messages])
        return decoded

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """A defect that comes up within is what is under way; a failing disk or a taken client id is not."""
        try:
            yield
        except Exception as exc:
            if not isinstance(exc, StorageError | SessionTaken):
                self._notes.blame(f"{type(exc).__name__}: {exc}")
            raise

    def survived(self, messages: Sequence[Message]) -> None:
        """They were decoded and advanced, and we live. Poison stays poison: it may be retained and come again."""
        self._notes.clear()
        if self.suspicious:
            for message in messages:
                self._suspects.discard(_checksum(message))
                if not self._is_poison(message):
                    self._deaths.pop(_digest(message), None)

    def note_batch(self, messages: Sequence[Message]) -> None:
        """Leave word of messages that can come again: those that are acked, and retained ones."""
        checksums = array("I", [_checksum(m) for m in messages if m.qos or m.retain])
        if checksums:
            self._notes.note(_BATCH + checksums.tobytes())
        else:
            self._notes.clear()

    def _note_alone(self, message: Message) -> None:
        digest = _digest(message)
        self._notes.note(_ALONE + bytes([self._deaths.get(digest, 0) + 1]) + digest)

    def _is_poison(self, message: Message) -> bool:
        return self._deaths.get(_digest(message), 0) >= POISON_AFTER


def _checksum(message: Message) -> int:
    return crc32(message.payload, crc32(message.topic.encode("utf-8", "surrogatepass")))


def _digest(message: Message) -> bytes:
    topic = message.topic.encode("utf-8", "surrogatepass")
    return blake2b(topic + b"\0" + message.payload, digest_size=16).digest()


def _as_poison(message: Message, now_ns: int) -> Decoded:
    """A message that must not be looked at any more: one reject, and its first bytes for the quarantine."""
    reject = Input.reject("poison", now_ns, dup=message.dup)
    row = Refused(now_ns, "", "", message.topic, "poison", "three processes died on it", message.payload[:256])
    return Decoded(Inputs.of([reject]), [row], messages=1)
