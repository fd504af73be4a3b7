"""The weights that a state directory keeps: `models/FLEET/VERSION/`. Immutable once written."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gaugecast.errors import ModelError
from gaugecast.files import write_whole
from gaugecast.fleet import NAME_RULE, is_fleet_name
from gaugecast.model.manifest import Manifest, decode_manifest, is_version
from gaugecast.model.weights import MANIFEST_NAME, Model, load_model, save_model
from gaugecast.pipeline import memories

FOLDER = "models"
#: Weights that were read are kept until as many others were: what is checked before an event is not read at it again.
_CACHED = 4
#: Beside the weights: written by whoever warmed them, read by the daemon and deleted.
_MEMORY = "memory.msgpack"
#: In a fleet's folder: it is gone for good. No version, for it is not of hexadecimal digits.
_FORGOTTEN = "forgotten"


class ModelStore:
    """Weights by fleet and version. One thread; files are never changed.

    Args:
        directory: The state directory.
        reserve_bytes: `add` refuses where less would be left on the disk: the ledger needs it more.
    """

    def __init__(self, directory: Path, *, reserve_bytes: int = 0) -> None:
        self.directory = directory / FOLDER
        self._reserve_bytes = reserve_bytes
        self._cache: dict[tuple[str, str], Model] = {}

    def place(self, fleet: str, version: str) -> Path:
        """Folder of one version, always below ours.

        Raises:
            ModelError: That cannot be a fleet, or a version.
        """
        if not is_fleet_name(fleet):
            raise ModelError(f"a fleet expected, {NAME_RULE}; got {fleet[:64]!r}")
        if not is_version(version):
            raise ModelError(f"a version of hexadecimal digits expected, got {version[:64]!r}")
        return self.directory / fleet / version

    def load(self, fleet: str, version: str) -> Model:
        """Read weights that an event or a checkpoint names.

        Raises:
            ModelError: They are gone or damaged, or we may not read them.
        """
        known = self._cache.pop((fleet, version), None)
        if known is None:
            known = self._read(fleet, version)
        self._cache[fleet, version] = known
        if len(self._cache) > _CACHED:
            del self._cache[next(iter(self._cache))]
        return known

    def _read(self, fleet: str, version: str) -> Model:
        place = self.place(fleet, version)
        try:
            if not place.is_dir():
                raise ModelError(f"weights {version} of fleet {fleet!r} expected in {place}, found nothing")
            model = load_model(place)
        except OSError as exc:  # a folder that we may not enter, a disk that fails
            raise ModelError(f"weights {version} of fleet {fleet!r} expected in {place}: {exc}") from exc
        if model.manifest.version != version:
            raise ModelError(f"weights {version} expected in {place}, got {model.manifest.version}")
        return model

    def manifest(self, fleet: str, version: str) -> Manifest:
        """What weights say of themselves; the weights are not looked at.

        Raises:
            ModelError: There are none, or it cannot be read.
        """
        try:
            return decode_manifest((self.place(fleet, version) / MANIFEST_NAME).read_bytes())
        except OSError as exc:
            raise ModelError(f"weights {version} of fleet {fleet!r} expected, found nothing") from exc

    def origin(self, fleet: str, version: str) -> tuple[str, str]:
        """Who made weights, or `damaged`, and the units of their layers; for tables."""
        try:
            manifest = self.manifest(fleet, version)
        except ModelError:
            return "damaged", ""
        made_by = manifest.provenance.get("made_by", manifest.provenance.get("script", ""))
        units = (str(one.units) if one.cell == "lstm" else f"{one.units} {one.cell}" for one in manifest.layers)
        return str(made_by), " + ".join(units)

    def add(self, fleet: str, model: Model) -> str:
        """Store weights durably, before any event may name them; their version.

        Raises:
            OSError: There is no room for them.
        """
        place = self.place(fleet, model.manifest.version)
        if not (place / MANIFEST_NAME).exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            left = shutil.disk_usage(self.directory).free
            if left < self._reserve_bytes:
                raise OSError(f"{self.directory}: {self._reserve_bytes} free bytes expected for others, got {left}")
            save_model(model, place)
        (self.directory / fleet / _FORGOTTEN).unlink(missing_ok=True)
        return model.manifest.version

    def forget(self, fleet: str) -> None:
        """The fleet is gone for good: whatever nothing names any more is deleted, the newest and imported, too.

        Raises:
            OSError: The folder cannot be written.
        """
        place = self.directory / fleet
        if place.is_dir():
            (place / _FORGOTTEN).touch()

    def is_forgotten(self, fleet: str) -> bool:
        """Whether the fleet is gone for good, and has no weights but those of before."""
        return (self.directory / fleet / _FORGOTTEN).exists()

    def touch(self, fleet: str, version: str) -> None:
        """An event is about to name these weights: a sweep leaves alone what is young."""
        os.utime(self.place(fleet, version))

    def leave_memory(self, fleet: str, version: str, chunks: Iterable[bytes]) -> None:
        """Put what a newcomer remembers of the streams where the daemon finds it, before it is asked for a trial."""
        write_whole(self.place(fleet, version) / _MEMORY, msgspec.msgpack.encode(list(chunks)))

    def take_memory(self, fleet: str, version: str) -> list[bytes]:
        """The chunks that `leave_memory` left, once; none where there are none.

        Raises:
            ModelError: They cannot be read; they are gone.
        """
        file = self.place(fleet, version) / _MEMORY
        try:
            chunks = msgspec.msgpack.decode(file.read_bytes(), type=list[bytes])
            for chunk in chunks:
                memories.decode(chunk)
            return chunks
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as exc:
            raise ModelError(f"{file}: {exc}") from exc
        finally:
            with contextlib.suppress(OSError):
                file.unlink()

    def fleets(self) -> list[str]:
        """Fleets that weights were stored for."""
        return sorted(p.name for p in self.directory.glob("*") if p.is_dir() and is_fleet_name(p.name))

    def versions(self, fleet: str) -> list[str]:
        """Versions on disk, oldest first."""
        folders = [p for p in (self.directory / fleet).glob("*") if (p / MANIFEST_NAME).exists()]
        return [p.name for p in sorted(folders, key=lambda p: p.stat().st_mtime_ns)]
