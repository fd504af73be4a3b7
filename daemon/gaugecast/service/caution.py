"""Caution after an unclean exit: a message that trips a defect must not become a crash loop.

Redelivered messages are taken behind durable attempt marks, at first as one batch; where a process has died on some
of them, one a commit. A message that three processes died on is quarantined unread: the first took it unmarked,
each of the others left a mark.
"""

from __future__ import annotations

from hashlib import blake2b

from gaugecast.errors import StorageBusy, StorageError, StorageFull
from gaugecast.records import Message
from gaugecast.service.ports import LoopLedger

#: A redelivered message with so many marks of processes that died on it is not taken again.
POISON_AFTER = 2


class Caution:
    """Stands between poll and decode. Owned by the loop's thread.

    Args:
        over: The last process ended cleanly; every message may be taken as it comes.

    Attributes:
        suspicious: Redelivered messages are being taken.
        poisonous: The message just let through must not be looked at.
        blocked: Why marks cannot be written now; messages wait until they can.
    """

    def __init__(self, ledger: LoopLedger, *, over: bool) -> None:
        self.suspicious = self.poisonous = False
        self.blocked: StorageError | None = None
        self._ledger = ledger
        self._over = over
        self._polled: list[Message] = []  # not marked yet
        self._alone: list[Message] = []  # to be taken one a commit

    @property
    def waiting(self) -> bool:
        """Whether messages that were polled wait: then `resume` gives the next, and nothing is polled."""
        return bool(self._polled or self._alone)

    def admit(self, messages: list[Message]) -> list[Message]:
        """What of the messages just polled may be taken now."""
        if self._over or not messages:
            return messages
        self._polled = messages
        return self.resume()

    def resume(self) -> list[Message]:
        """What may be taken now of those that wait; nothing while the marks find no room."""
        self.poisonous, self.blocked = False, None
        try:
            return self._mark_polled() if self._polled else self._mark_next()
        except (StorageFull, StorageBusy) as exc:
            self.blocked = exc
            return []

    def _mark_polled(self) -> list[Message]:
        suspects = [_digest_of(m) for m in self._polled if m.dup]
        self.suspicious = bool(suspects)
        if not suspects:
            self._ledger.clear_attempts()
            self._over = True
        elif any(self._ledger.attempts(suspects)):
            self._alone, self._polled = self._polled, []
            return self._mark_next()
        else:
            self._ledger.mark_attempts(suspects)
        messages, self._polled = self._polled, []
        return messages

    def _mark_next(self) -> list[Message]:
        (count,) = self._ledger.mark_attempts([_digest_of(self._alone[0])])
        self.poisonous = count > POISON_AFTER
        return [self._alone.pop(0)]


def _digest_of(message: Message) -> bytes:
    return blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()
