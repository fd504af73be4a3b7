"""What the C library is asked to do with freed memory."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from gaugecast.service.allocator import keep_freed_memory


def test_glibc_is_asked_to_keep_what_a_batch_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both thresholds of mallopt(3): from where on arrays are mapped, and how much may lie idle."""
    asked: list[tuple[int, int]] = []

    def mallopt(parameter: int, value: int) -> int:
        asked.append((parameter, value))
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(mallopt=mallopt))
    assert keep_freed_memory()
    assert asked == [(-3, 4 << 20), (-1, 16 << 20)]


def test_another_c_library_goes_on_as_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl has no mallopt: nothing is asked, nothing breaks."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not keep_freed_memory()
