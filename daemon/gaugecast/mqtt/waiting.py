"""Waiting for the socket. `epoll`, because `select` fails for ever once the descriptor is 1024 or more."""

from __future__ import annotations

import contextlib
import select

ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Waiter:
    """One descriptor at a time, watched for what is wanted of it. Owned by the loop's thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched = -1

    def wait(self, seconds: float, descriptor: int, *, read: bool, write: bool) -> bool:
        """Wait until the descriptor is ready or `seconds` are over; whether the other side was found to have ended.

        Without `read` an end would not be seen otherwise, or would make the wait a spin.
        """
        if descriptor >= 0:
            self._watch(descriptor, (select.EPOLLIN if read else select.EPOLLRDHUP) | (select.EPOLLOUT if write else 0))
        ready = self._epoll.poll(seconds)
        return not read and any(events & ENDED for _, events in ready)

    def forget(self) -> None:
        """Stop watching, before the descriptor is closed: a copy in a forked child would keep it in the set."""
        if self._watched >= 0:
            with contextlib.suppress(OSError):  # closed already, and so not in the set
                self._epoll.unregister(self._watched)
            self._watched = -1

    def close(self) -> None:
        """Free the epoll descriptor."""
        self._epoll.close()

    def _watch(self, descriptor: int, mask: int) -> None:
        if self._watched not in (descriptor, -1):
            self.forget()
        try:
            self._epoll.modify(descriptor, mask)
        except FileNotFoundError:  # new, or a new socket under an old number
            self._epoll.register(descriptor, mask)
        self._watched = descriptor
