"""What the C library does with memory that was freed: keep some of it for the next batch."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
#: Arrays below are taken from the heap, of which so much may lie idle at its end.
_LARGEST_KEPT, _MOST_IDLE = 4 << 20, 16 << 20


def keep_freed_memory() -> bool:
    """Ask for it; whether the C library does so. For the whole process, before its work begins.

    A batch makes and drops dozens of arrays of some 100 kB. By default glibc gives many of them back to the kernel and
    asks for them again, page by page: a fifth of the time of a batch of 256 streams that look ahead.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _MOST_IDLE))
