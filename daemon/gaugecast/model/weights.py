"""Weights and their file: an `.npz` that is hashed, measured and matched with its manifest before it is parsed.

A model is a directory of two files, `model.json` (the manifest) and `weights.npz` (uncompressed, no pickles).
Nothing in either can name another file, run code, or make us allocate more than the manifest's shapes need.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaugecast.errors import ModelError
from gaugecast.files import regular
from gaugecast.model.layers import Shape
from gaugecast.model.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    check_manifest,
    decode_manifest,
    encode_manifest,
    encode_meaning,
)
from gaugecast.records import Float32

MANIFEST_NAME = "model.json"
WEIGHTS_NAME = "weights.npz"
MAX_WEIGHTS_BYTES = 256 << 20
MAX_HEADER_BYTES = 1024  # of one .npy member; NumPy writes 128
VERSION_DIGITS = 12
#: What zipfile was seen to raise, or may raise, on damaged archives; a fuzz found the ValueErrors.
UNZIP_ERRORS = (zipfile.BadZipFile, struct.error, ValueError, LookupError, RuntimeError, EOFError, OSError)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Weights and their manifest: checked, and not to be written to by anyone.

    Attributes:
        weights: Float32, C-contiguous, read-only; names and shapes are `manifest.weight_shapes()` and, where
            learned, `manifest.optional_shapes()`.

    Raises:
        ModelError: The weights do not fit the manifest, or are not finite.
    """

    manifest: Manifest
    weights: dict[str, Float32]

    def __post_init__(self) -> None:
        check_manifest(self.manifest)
        _check_names(self.manifest, set(self.weights))
        shapes = _all_shapes(self.manifest)
        frozen = {name: _freeze(name, self.weights[name], shapes[name]) for name in shapes if name in self.weights}
        object.__setattr__(self, "weights", frozen)


def load_model(path: Path) -> Model:
    """Read a model from its directory, or from the path of its `model.json`.

    Raises:
        ModelError: A file is absent, too large, damaged, unsafe, or the two do not fit each other.
    """
    manifest_path = path / MANIFEST_NAME if path.is_dir() else path
    manifest = decode_manifest(_read_bounded(manifest_path, MAX_MANIFEST_BYTES))
    packed = _read_bounded(manifest_path.with_name(WEIGHTS_NAME), MAX_WEIGHTS_BYTES)
    digest = hashlib.sha256(packed).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(f"{WEIGHTS_NAME}: expected sha256 {manifest.sha256!r}, got {digest!r}")
    if not _is_stamped(manifest, digest):
        raise ModelError(f"manifest: version: expected {version_of(manifest, digest)!r}, got {manifest.version!r}")
    return Model(manifest, unpack_weights(packed, _all_shapes(manifest)))


def save_model(model: Model, directory: Path) -> Path:
    """Write both files into `directory`, weights first, each fsynced; returns the path of `model.json`.

    What is written carries the digest and version of this model, whatever the manifest said.
    """
    directory.mkdir(parents=True, exist_ok=True)
    packed = pack_weights(model.weights)
    _write_durably(directory / WEIGHTS_NAME, packed)
    path = directory / MANIFEST_NAME
    known = _is_stamped(model.manifest, hashlib.sha256(packed).hexdigest())
    _write_durably(path, encode_manifest(model.manifest if known else _stamp(model.manifest, packed)))
    return path


def seal_model(manifest: Manifest, weights: dict[str, Float32]) -> Model:
    """A model whose manifest names the digest of its weights and its version, as `save_model` would write them.

    Raises:
        ModelError: As for `Model`.
    """
    checked = Model(manifest, weights)
    return Model(_stamp(manifest, pack_weights(checked.weights)), checked.weights)


def pack_weights(weights: dict[str, Float32]) -> bytes:
    """The bytes of `weights.npz`: the same weights always give the same bytes (no dates, fixed order)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(weights):
            member = io.BytesIO()
            np.lib.format.write_array(member, weights[name].astype("<f4"), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def unpack_weights(packed: bytes, shapes: Mapping[str, Shape]) -> dict[str, Float32]:
    """Read such bytes, once every member's name and size are what `shapes` asks for; a name may be absent.

    Raises:
        ModelError: Anything else than arrays of these names and shapes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            names = [_member_name(member, shapes) for member in members]
            if len(set(names)) != len(names):
                raise ModelError(f"{WEIGHTS_NAME}: a member comes twice among {sorted(names)}")
            total = sum(member.file_size for member in members)
            if total > len(packed):  # members that overlap would let a small file fill the memory
                raise ModelError(f"{WEIGHTS_NAME}: expected at most {len(packed)} bytes in members, got {total}")
            return {
                name: _parse_member(name, archive.read(member), shapes[name])
                for name, member in zip(names, members, strict=True)
            }
    except UNZIP_ERRORS as exc:
        raise ModelError(f"{WEIGHTS_NAME}: expected an npz archive: {exc}") from exc


def version_of(manifest: Manifest, sha256: str) -> str:
    """What names a model: the first 12 digits of a digest over its weights' digest and what the manifest means.

    Where it comes from, and which fleet it is for, are no part of it: the same forecasts have the same version.
    """
    return hashlib.sha256(sha256.encode() + b"\n" + encode_meaning(manifest)).hexdigest()[:VERSION_DIGITS]


def _stamp(manifest: Manifest, packed: bytes) -> Manifest:
    digest = hashlib.sha256(packed).hexdigest()
    return replace(manifest, sha256=digest, version=version_of(manifest, digest))


def _is_stamped(manifest: Manifest, digest: str) -> bool:
    """Whether digest and version are this model's; in older models it names the weights alone."""
    return manifest.sha256 == digest and manifest.version in (version_of(manifest, digest), digest[:VERSION_DIGITS])


def _all_shapes(manifest: Manifest) -> dict[str, Shape]:
    return manifest.weight_shapes() | manifest.optional_shapes()


def _check_names(manifest: Manifest, names: set[str]) -> None:
    missing = sorted(set(manifest.weight_shapes()) - names)
    if missing:
        raise ModelError(f"weights: expected {missing[0]!r}, got only {sorted(names)}")
    unknown = sorted(names - set(_all_shapes(manifest)))
    if unknown:
        raise ModelError(f"weights: unknown name {unknown[0]!r}")


def _freeze(name: str, array: Float32, shape: Shape) -> Float32:
    """A read-only C-contiguous copy, once it has proven to be what its name says."""
    if array.dtype != np.float32:
        raise ModelError(f"weights: {name}: expected float32, got {array.dtype}")
    if array.shape != shape:
        raise ModelError(f"weights: {name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ModelError(f"weights: {name}: expected finite numbers, got NaN or infinity")
    frozen = np.array(array, dtype=np.float32, order="C")
    frozen.flags.writeable = False
    return frozen


def _member_name(member: zipfile.ZipInfo, shapes: Mapping[str, Shape]) -> str:
    """The weight that a member holds; only the central directory is looked at, nothing is unpacked."""
    name = member.filename.removesuffix(".npy")
    if name not in shapes or name == member.filename:
        raise ModelError(f"{WEIGHTS_NAME}: unknown member {member.filename[:256]!r}")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ModelError(f"{WEIGHTS_NAME}: {name}: expected an uncompressed member")
    needed = 4 * math.prod(shapes[name])
    if not needed < member.file_size <= needed + MAX_HEADER_BYTES:
        raise ModelError(f"{WEIGHTS_NAME}: {name}: expected about {needed} bytes, got {member.file_size}")
    return name


def _parse_member(name: str, member: bytes, shape: Shape) -> Float32:
    """One .npy file of little-endian float32; its header is checked before any array is made."""
    stream = io.BytesIO(member)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ModelError(f"{WEIGHTS_NAME}: {name}: expected npy format 1.0")
        found, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER_BYTES)
    except (ValueError, SyntaxError, TypeError) as exc:
        raise ModelError(f"{WEIGHTS_NAME}: {name}: expected an npy header: {exc}") from exc
    if dtype != np.dtype("<f4") or fortran or found != shape:
        order = " in Fortran order" if fortran else ""
        raise ModelError(f"{WEIGHTS_NAME}: {name}: expected '<f4' {shape}, got {dtype.str!r} {found}{order}")
    body = member[stream.tell() :]
    if len(body) != 4 * math.prod(shape):
        raise ModelError(f"{WEIGHTS_NAME}: {name}: expected {4 * math.prod(shape)} bytes, got {len(body)}")
    return np.frombuffer(body, dtype="<f4").reshape(shape).astype(np.float32)


def _read_bounded(path: Path, limit_bytes: int) -> bytes:
    try:
        with regular(path).open("rb") as stream:
            content = stream.read(limit_bytes + 1)
    except OSError as exc:
        raise ModelError(f"{path}: expected a readable file: {exc.strerror}") from exc
    if len(content) > limit_bytes:
        raise ModelError(f"{path}: expected at most {limit_bytes} bytes, got more")
    return content


def _write_durably(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename, fsync the directory: the file is there whole or not at all."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
