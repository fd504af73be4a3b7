"""Weights on disk: written once, read once, never where the ledger needs the room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugecast.errors import ModelError
from gaugecast.model import weights as weights_file
from gaugecast.service.models import ModelStore
from learning.worlds import small_model


def test_what_is_checked_before_an_event_is_not_read_again_at_it(tmp_path: Path) -> None:
    """The loop loads a hand-over once: the file may be gone by then."""
    store, model = ModelStore(tmp_path), small_model()
    version = store.add("tanks", model)
    first = store.load("tanks", version)
    (store.place("tanks", version) / "weights.npz").unlink()
    assert store.load("tanks", version) is first


def test_memory_of_what_was_read_is_bounded(tmp_path: Path) -> None:
    """The fifth other pushes the first out."""
    store = ModelStore(tmp_path)
    versions = [store.add("tanks", small_model(seed)) for seed in range(6)]
    for version in versions:
        store.load("tanks", version)
    assert len(store._cache) == 4
    (store.place("tanks", versions[0]) / "weights.npz").unlink()
    with pytest.raises(ModelError):
        store.load("tanks", versions[0])


def test_where_the_ledger_needs_the_room_no_weights_are_written(tmp_path: Path) -> None:
    """And nothing half is left."""
    store = ModelStore(tmp_path, reserve_bytes=1 << 60)
    with pytest.raises(OSError, match="free bytes expected"):
        store.add("tanks", small_model())
    assert store.versions("tanks") == []


def test_a_write_that_fails_leaves_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the manifest: what is there is not a version, and a second try makes it one."""
    store, model = ModelStore(tmp_path), small_model()
    real = weights_file._write_durably

    def full(path: Path, content: bytes) -> None:
        if path.name == "model.json":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(weights_file, "_write_durably", full)
    with pytest.raises(OSError):
        store.add("tanks", model)
    assert store.versions("tanks") == []
    monkeypatch.undo()
    assert store.load("tanks", store.add("tanks", model)).manifest.version == model.manifest.version


@pytest.mark.parametrize("name", ["..", "../../secret", "/etc", "", "ABC", "x" * 12])
def test_a_version_is_never_a_path(tmp_path: Path, name: str) -> None:
    """It comes through a socket."""
    with pytest.raises(ModelError, match="hexadecimal"):
        ModelStore(tmp_path).load("tanks", name)
