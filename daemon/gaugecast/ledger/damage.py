"""What was found damaged in the ledger: rows whose checksum is another, pages that SQLite cannot read."""

from __future__ import annotations

import threading

from gaugecast.errors import StorageDamaged

_MOST = 1000  # places that are remembered; beyond these they are counted alone


class Damaged(StorageDamaged):
    """Rows are not those that were written: their checksum says so.

    Attributes:
        last_seq: The newest input that is concerned.
    """

    def __init__(self, first_seq: int, last_seq: int, why: object) -> None:
        super().__init__(f"inputs {first_seq}…{last_seq} are damaged: {why}; restore a backup")
        self.last_seq = last_seq


class Damages:
    """Places that were found damaged, each once. Any thread may note one; none waits for another.

    Attributes:
        total: How many were found in this process.
    """

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        self._standing: dict[str, int | None] = {}

    @property
    def newest(self) -> str | None:
        """What was found last and is still there; `None` = nothing."""
        with self._lock:
            return next(reversed(self._standing), None)

    def note(self, found: StorageDamaged) -> None:
        """Note a place, if it is new."""
        with self._lock:
            text = str(found)
            if text not in self._standing:
                self.total += 1
                if len(self._standing) < _MOST:
                    self._standing[text] = getattr(found, "last_seq", None)

    def forget(self, before_seq: int) -> None:
        """Rows before this one are gone, and their damage with them. That of a page is never known to be gone."""
        with self._lock:
            kept = {text: seq for text, seq in self._standing.items() if seq is None or seq >= before_seq}
            self._standing = kept
