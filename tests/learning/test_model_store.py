"""Weights on disk: written once, read once, never where the ledger needs the room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaugecast.errors import ModelError
from gaugecast.loop import models
from gaugecast.loop.models import LossyLoader, shipped_model
from gaugecast.model import Layer, Model
from gaugecast.model import weights as weights_file
from gaugecast.pipeline import fits
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from learning.worlds import FLEET, small_model

_NOBODY = 65534


def test_what_is_checked_before_an_event_is_not_read_again_at_it(tmp_path: Path) -> None:
    """The loop loads a hand-over once: the file may be gone by then."""
    store, model = ModelStore(tmp_path), small_model()
    version = store.add("tanks", model)
    first = store.load("tanks", version)
    (store.place("tanks", version) / "weights.npz").unlink()
    assert store.load("tanks", version) is first


@pytest.mark.parametrize(
    ("fleet", "version"),
    [("../../x", "ab"), ("..", "ab"), (".", "ab"), ("", "ab"), ("a/b", "ab"), ("/etc", "ab"), ("tanks", ".."),
     ("tanks", "../../ab"), ("tanks", ""), ("tanks", "/ab"), ("tanks", "ab\n")],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path: Path, fleet: str, version: str) -> None:
    """Fleets' and versions' names come from manifests, events and callers, and are folders' names here."""
    store = ModelStore(tmp_path)
    for call in (store.place, store.load, store.manifest, store.touch):
        with pytest.raises(ModelError, match="expected"):
            call(fleet, version)


def test_a_folder_that_no_fleet_can_have_is_nobodys(tmp_path: Path) -> None:
    """A file system's own `lost+found`, say, is not swept."""
    (tmp_path / "models" / "lost+found").mkdir(parents=True)
    store = ModelStore(tmp_path)
    store.add("tanks", small_model())
    assert store.fleets() == ["tanks"]


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


@contextmanager
def forbidden(place: Path) -> Iterator[None]:
    """A folder that we may not enter, whoever we are."""
    mode, us = place.stat().st_mode, os.geteuid()
    place.chmod(0)
    if us == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(us)
        place.chmod(mode)


def test_weights_that_may_not_be_read_are_lost_not_an_end(tmp_path: Path) -> None:
    """After a restore by another user, say: the role stays empty, and the daemon comes up on persistence."""
    store = ModelStore(tmp_path)
    version = store.add("tanks", small_model())
    loader = LossyLoader(store)
    with forbidden(store.directory):
        assert loader("tanks", version) is None
    assert loader.lost == [("tanks", version)]
    assert loader("tanks", version) is not None


def test_weights_whose_engine_is_missing_are_lost_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow was uninstalled, say: persistence beats silence, and no event ever names what cannot run here."""
    store, loader = ModelStore(tmp_path), LossyLoader(ModelStore(tmp_path))
    model = random_model("tanks", layers=[Layer(2, cell="gru")], engine="tensorflow")
    version = store.add("tanks", model)

    def fail(_: Model) -> None:
        raise ModelError("this model needs the TensorFlow engine")

    with monkeypatch.context() as broken:
        for module in (models, fits):
            broken.setattr(module, "engine_for", fail)
        assert loader("tanks", version) is None
        with pytest.raises(ModelError, match="needs the TensorFlow engine"):
            fits.check_fits(model, FLEET)
    assert loader.lost == [("tanks", version)]
    monkeypatch.setattr(models, "engine_for", lambda _: None)
    assert loader("tanks", version) is not None


def test_weights_under_another_name_are_refused(tmp_path: Path) -> None:
    """Copied by hand into another version's folder: the event would name what it does not mean."""
    store = ModelStore(tmp_path)
    place = store.place("tanks", store.add("tanks", small_model()))
    place.rename(place.with_name("ab" * 6))
    with pytest.raises(ModelError, match="abababababab expected"):
        store.load("tanks", "ab" * 6)


def test_a_shipped_model_that_is_damaged_costs_the_model_not_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an installation."""
    (tmp_path / "tanks").mkdir()
    (tmp_path / "tanks" / "model.json").write_text("{")
    monkeypatch.setattr(models, "SHIPPED", tmp_path)
    assert shipped_model(FLEET) is None
