"""Single keys from a terminal, waited for as long as one would have slept."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator


class Keys:
    """The keys of a terminal; of what is none, silence."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def there(self) -> bool:
        """Whether somebody can type."""
        return self._descriptor is not None

    def wait(self, seconds: float) -> str:
        """The next key, or nothing once the time is over."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        return os.read(self._descriptor, 8).decode(errors="replace") if ready else ""


@contextlib.contextmanager
def open_keys() -> Iterator[Keys]:
    """Keys as they are typed, without Enter and without an echo; the terminal is given back as it was."""
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):
        yield Keys(None)
        return
    try:
        tty.setcbreak(descriptor)  # Ctrl-C stays what it is
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
