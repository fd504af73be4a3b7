"""Waiting for sockets. `epoll`, because `select` fails for ever once a descriptor is 1024 or more."""

from __future__ import annotations

import contextlib
import math
import select
from collections.abc import Sequence
from typing import NamedTuple

ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


class Interest(NamedTuple):
    """What somebody waits for.

    Attributes:
        descriptor: −1 where there is none.
        read, write: Wake when it can be read, or written.
        most_s: Wake then at the latest.
        told: Say so when it can be read; of others only that their other side has ended.
    """

    descriptor: int
    read: bool = False
    write: bool = False
    most_s: float = math.inf
    told: bool = False


class Waiter:
    """Descriptors, each watched for what is wanted of it. Owned by the loop's thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()

    def wait(self, seconds: float, interests: Sequence[Interest]) -> set[int]:
        """Wait until one is ready or `seconds` are over; those whose other side was found to have ended, or that are
        to be told of.

        Only of those that are not read: without, an end would not be seen, or would make the wait a spin.
        """
        wanted = [each for each in interests if each.descriptor >= 0]
        for gone in self._watched - {each.descriptor for each in wanted}:
            self.forget(gone)
        for each in wanted:
            self._watch(each)
        ready = self._epoll.poll(max(min([seconds, *(each.most_s for each in interests)]), 0.0))
        unread = {each.descriptor for each in wanted if not each.read}
        told = {each.descriptor for each in wanted if each.told}
        return {fd for fd, events in ready if fd in told or (fd in unread and events & ENDED)}

    def forget(self, descriptor: int) -> None:
        """Stop watching, before the descriptor is closed: a copy in a forked child would keep it in the set."""
        if descriptor in self._watched:
            self._watched.discard(descriptor)
            with contextlib.suppress(OSError):  # closed already, and so not in the set
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Free the epoll descriptor."""
        self._epoll.close()

    def _watch(self, wanted: Interest) -> None:
        mask = (select.EPOLLIN if wanted.read else select.EPOLLRDHUP) | (select.EPOLLOUT if wanted.write else 0)
        try:
            self._epoll.modify(wanted.descriptor, mask)
        except FileNotFoundError:  # new, or a new socket under an old number
            self._epoll.register(wanted.descriptor, mask)
        self._watched.add(wanted.descriptor)
