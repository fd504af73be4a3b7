"""The weights file: what is saved comes back to the bit, and a poisoned file never reaches a parser."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gaugecast.model.weights as weights_module
from gaugecast.errors import ExitCode, ModelError
from gaugecast.model import Layer, Manifest, Model, Recipe, load_model, save_model, seal_model
from gaugecast.model.weights import version_of
from gaugecast.testing import random_model

MODEL = random_model(units=(5, 3), layer_norm=True, learned_initial=True)
PACKED = weights_module.pack_weights(MODEL.weights)
Members = dict[str, bytes]


class Bomb:
    """Unpickling it makes a directory, so that a test would see it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A directory with a sound model in it."""
    save_model(MODEL, tmp_path / "model")
    return tmp_path / "model"


def read_members(directory: Path) -> Members:
    """The archive's members by name."""
    with zipfile.ZipFile(directory / "weights.npz") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(array: np.ndarray, *, allow_pickle: bool = False, version: tuple[int, int] | None = None) -> bytes:
    """An array as the bytes of an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version, allow_pickle=allow_pickle)
    return stream.getvalue()


def plant(directory: Path, packed: bytes) -> None:
    """Put bytes in place of the weights and make the manifest vouch for them, as an attacker could."""
    (directory / "weights.npz").write_bytes(packed)
    manifest = json.loads((directory / "model.json").read_text())
    digest = hashlib.sha256(packed).hexdigest()
    manifest |= {"sha256": digest, "version": digest[:12]}
    (directory / "model.json").write_text(json.dumps(manifest))


def pack(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_model_comes_back_to_the_bit(saved: Path) -> None:
    """From its directory and from the path of its manifest."""
    for path in (saved, saved / "model.json"):
        loaded = load_model(path)
        assert loaded.manifest == MODEL.manifest
        assert set(loaded.weights) == set(MODEL.weights)
        for name, array in MODEL.weights.items():
            assert loaded.weights[name].tobytes() == array.tobytes()
            assert loaded.weights[name].dtype == np.float32


def test_the_version_is_the_content(tmp_path: Path) -> None:
    """Same weights, same file, same version, on every day; one other bit, another version."""
    same = random_model(units=(5, 3), layer_norm=True, learned_initial=True)
    assert same.manifest.version == MODEL.manifest.version != ""
    first = save_model(MODEL, tmp_path / "a").with_name("weights.npz").read_bytes()
    assert save_model(same, tmp_path / "b").with_name("weights.npz").read_bytes() == first
    changed = {name: array.copy() for name, array in MODEL.weights.items()}
    changed["dense/bias"][0] = np.nextafter(changed["dense/bias"][0], np.float32(9))
    assert seal_model(MODEL.manifest, changed).manifest.version != MODEL.manifest.version


def test_the_version_covers_what_the_weights_mean_and_nothing_else() -> None:
    """Another recipe is another model; another name, or where it comes from, is not."""
    manifest, weights = MODEL.manifest, dict(MODEL.weights)

    def version(**changes: object) -> str:
        return seal_model(replace(manifest, **changes), weights).manifest.version  # type: ignore[arg-type]

    same: tuple[dict[str, Any], ...] = (
        {},
        {"fleet": "ships"},
        {"provenance": {"rows": 7}},
        {"sha256": "ab", "version": "ab"},
        {"period_s": 1},
    )
    assert {version(**changes) for changes in same} == {manifest.version}
    recipe = manifest.recipe
    others = (
        *({"recipe": replace(recipe, half_life_steps=9.0)}, {"recipe": replace(recipe, floor=0.2)}),
        *({"warmup_steps": 77}, {"look_back": 5}, {"period_s": 2.0}, {"rows": "joint"}),
        {"layers": (replace(manifest.layers[0], activation="relu"), *manifest.layers[1:])},
        {"features": (("x", "forecast"), *manifest.features[1:])},
    )
    assert len({manifest.version, *(version(**changes) for changes in others)}) == 1 + len(others)


def test_versions_stay_what_they_were() -> None:
    """They name folders and stand in ledgers: fields that come later must have a default, and be no part of these."""
    layer, recipe = Layer(units=2), Recipe(half_life_steps=168.0)
    features = (("pressure", "forecast"),)
    sizes = {"input_size": 3, "output_size": 1}
    manifest = Manifest("tanks", features, 60.0, "per_feature", recipe, (layer,), **sizes)  # type: ignore[arg-type]
    assert version_of(manifest, "00" * 32) == "d0ddc0a3af99"


def test_a_model_with_a_version_of_its_weights_alone_is_read_and_written_as_it_is(saved: Path, tmp_path: Path) -> None:
    """As they were named before versions covered the manifest."""
    manifest = json.loads((saved / "model.json").read_text())
    manifest["version"] = manifest["sha256"][:12]
    (saved / "model.json").write_text(json.dumps(manifest))
    old = load_model(saved)
    assert old.manifest.version == MODEL.manifest.sha256[:12] != MODEL.manifest.version
    again = load_model(save_model(old, tmp_path / "again"))
    assert again.manifest == old.manifest


def test_the_archive_is_an_ordinary_npz(saved: Path) -> None:
    """Anyone can open it with NumPy."""
    with np.load(saved / "weights.npz", allow_pickle=False) as archive:
        assert archive["lstm0/kernel"].tobytes() == MODEL.weights["lstm0/kernel"].tobytes()


def test_weights_cannot_be_written_to() -> None:
    """A model is immutable: whoever wants other weights makes another model, of a copy."""
    source = {name: array.copy() for name, array in MODEL.weights.items()}
    model = Model(MODEL.manifest, source)
    source["dense/bias"][0] = 7
    assert model.weights["dense/bias"][0] != 7
    with pytest.raises(ValueError, match="read-only"):
        model.weights["dense/bias"][0] = 7


def test_a_wrong_digest_is_refused_before_the_archive_is_parsed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped bit; neither zip nor npy code may see it."""
    content = bytearray((saved / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (saved / "weights.npz").write_bytes(content)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the archive was opened"))
    with pytest.raises(ModelError, match="expected sha256") as caught:
        load_model(saved)
    assert caught.value.exit_code == ExitCode.CONFIG


def test_a_version_that_is_not_the_digests_is_refused(saved: Path) -> None:
    """Messages quote the version; it must not be made up."""
    manifest = json.loads((saved / "model.json").read_text()) | {"version": "0" * 12}
    (saved / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="version: expected"):
        load_model(saved)


def test_a_pickle_is_never_loaded(saved: Path, tmp_path: Path) -> None:
    """Neither an object array in a member nor a bare pickle as the whole file."""
    trap = tmp_path / "sprung"
    bomb = npy(np.array([Bomb(trap)], dtype=object), allow_pickle=True)
    members = read_members(saved)
    size = len(members["lstm0/kernel.npy"])
    for packed in (pack(members | {"lstm0/kernel.npy": bomb.ljust(size, b"\0")}), pickle.dumps(Bomb(trap))):
        plant(saved, packed)
        with pytest.raises(ModelError):
            load_model(saved)
        assert not trap.exists()


POISON: dict[str, tuple[Callable[[Members], Members], str]] = {
    "path traversal": (lambda m: m | {"../../evil.npy": b"x"}, r"unknown member '../../evil.npy'"),
    "absolute path": (lambda m: m | {"/etc/evil.npy": b"x"}, "unknown member '/etc/evil.npy'"),
    "unknown weight": (lambda m: m | {"lstm7/kernel.npy": npy(np.zeros(3, np.float32))}, "unknown member"),
    "no suffix": (lambda m: m | {"norm0/beta": b"x"}, "unknown member 'norm0/beta'"),
    "huge member": (
        lambda m: m | {"dense/bias.npy": b"\0" * 100_000},
        "dense/bias: expected about 4 bytes, got 100000",
    ),
    "empty member": (lambda m: m | {"dense/bias.npy": b""}, "dense/bias: expected about 4 bytes, got 0"),
    "no header": (lambda m: m | {"dense/bias.npy": b"\0" * 132}, "dense/bias: expected an npy header"),
    "other npy format": (
        lambda m: m | {"dense/bias.npy": npy(np.zeros(1, np.float32), version=(2, 0))},
        "dense/bias: expected npy format 1.0",
    ),
    "wrong shape": (
        lambda m: m | {"lstm0/recurrent.npy": npy(np.zeros((20, 5), np.float32))},
        r"lstm0/recurrent: expected '<f4' \(5, 20\), got '<f4' \(20, 5\)",
    ),
    "float64": (lambda m: m | {"dense/bias.npy": npy(np.zeros(1))}, "expected '<f4'"),
    "integers": (lambda m: m | {"dense/bias.npy": npy(np.zeros(1, np.int32))}, "expected '<f4'"),
    "big endian": (lambda m: m | {"dense/bias.npy": npy(np.zeros(1, ">f4"))}, "expected '<f4'"),
    "Fortran order": (
        lambda m: m | {"lstm0/recurrent.npy": npy(np.asfortranarray(np.zeros((5, 20), np.float32)))},
        "lstm0/recurrent: expected",
    ),
    "header of a terabyte": (
        lambda m: m | {"dense/bias.npy": m["dense/bias.npy"].replace(b"(1,), }        ", b"(99999999999,), }")[:132]},
        "dense/bias: expected",
    ),
    "short body": (lambda m: m | {"norm0/beta.npy": m["norm0/beta.npy"][:-1]}, "norm0/beta: expected 20 bytes, got 19"),
    "long body": (lambda m: m | {"norm0/beta.npy": m["norm0/beta.npy"] + b"\0"}, "norm0/beta: expected 20 bytes"),
    "NaN": (lambda m: m | {"dense/bias.npy": npy(np.full(1, np.nan, np.float32))}, "dense/bias: expected finite"),
    "infinity": (lambda m: m | {"dense/bias.npy": npy(np.full(1, np.inf, np.float32))}, "expected finite"),
    "a weight is absent": (lambda m: {k: v for k, v in m.items() if k != "dense/bias.npy"}, "expected 'dense/bias'"),
}


@pytest.mark.parametrize("case", sorted(POISON))
def test_a_poisoned_archive_is_refused_though_the_manifest_vouches_for_it(saved: Path, case: str) -> None:
    """The digest protects from damage, the rest from malice; the message names the member."""
    poison, message = POISON[case]
    plant(saved, pack(poison(read_members(saved))))
    with pytest.raises(ModelError, match=message):
        load_model(saved)


def test_a_compressed_member_is_refused_before_it_is_unpacked(saved: Path) -> None:
    """No compression, no zip bomb."""
    plant(saved, pack(read_members(saved), zipfile.ZIP_DEFLATED))
    with pytest.raises(ModelError, match="expected an uncompressed member"):
        load_model(saved)


def test_a_member_that_comes_twice_is_refused(saved: Path) -> None:
    """Two readers could take different ones."""
    members = read_members(saved)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("dense/bias.npy", members["dense/bias.npy"])
    plant(saved, stream.getvalue())
    with pytest.raises(ModelError, match="a member comes twice"):
        load_model(saved)


def test_members_that_claim_more_than_the_file_holds_are_refused(saved: Path) -> None:
    """Overlapping members, each within its own bound, must not add up to more than came."""
    changed = bytearray(PACKED)
    entry = changed.find(b"PK\x01\x02")
    while entry >= 0:
        for field in (entry + 20, entry + 24):  # compressed and real size of a central directory entry
            (size,) = struct.unpack_from("<I", changed, field)
            struct.pack_into("<I", changed, field, size + 700)
        entry = changed.find(b"PK\x01\x02", entry + 1)
    plant(saved, bytes(changed))
    with pytest.raises(ModelError, match="bytes in members"):
        load_model(saved)


@pytest.mark.parametrize("packed", [b"", b"PK", b"not a zip at all", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(saved: Path, packed: bytes) -> None:
    """Whatever zipfile thinks of it, it is a ModelError."""
    plant(saved, packed)
    with pytest.raises(ModelError):
        load_model(saved)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), cut=st.booleans()
)
def test_a_damaged_archive_raises_nothing_but_model_errors(
    saved: Path, changes: list[tuple[int, int]], cut: bool
) -> None:
    """Bytes changed from the end on, where the directory is that zipfile trusts, by one who mends the digest."""
    changed = bytearray(PACKED)
    for distance, value in changes:
        changed[-1 - distance % len(changed)] = value
    plant(saved, bytes(changed[: -changes[0][1] - 1] if cut else changed))
    with contextlib.suppress(ModelError):
        load_model(saved)


@pytest.mark.parametrize("offset", [16, 17, 18, 19])
def test_a_directory_that_lies_before_the_file_is_refused(saved: Path, offset: int) -> None:
    """zipfile raises a bare ValueError for such an offset in the end record."""
    changed = bytearray((saved / "weights.npz").read_bytes())
    changed[offset - 22] = 0xFF
    plant(saved, bytes(changed))
    with pytest.raises(ModelError, match=r"weights\.npz"):
        load_model(saved)


def test_an_oversized_file_is_refused_before_it_is_read_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds on bytes, not on what the file says of itself."""
    monkeypatch.setattr(weights_module, "MAX_WEIGHTS_BYTES", 100)
    with pytest.raises(ModelError, match="expected at most 100 bytes"):
        load_model(saved)


def test_an_absent_model_is_named(tmp_path: Path) -> None:
    """The message names the path."""
    with pytest.raises(ModelError, match=r"nowhere.*expected a readable file"):
        load_model(tmp_path / "nowhere")


def test_weights_made_in_code_meet_the_same_checks() -> None:
    """The learner's hand-over cannot put NaN, float64 or a wrong shape in force."""
    sound: dict[str, Any] = dict(MODEL.weights)
    for name, array, message in (
        ("dense/bias", np.full(1, np.nan, np.float32), "expected finite"),
        ("dense/bias", np.zeros(1), "expected float32"),
        ("dense/bias", np.zeros(2, np.float32), r"expected shape \(1,\), got \(2,\)"),
        ("dense/extra", np.zeros(1, np.float32), "unknown name 'dense/extra'"),
    ):
        with pytest.raises(ModelError, match=message):
            seal_model(MODEL.manifest, sound | {name: array})
