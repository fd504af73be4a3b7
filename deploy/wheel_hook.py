"""Puts into each wheel a list of what it asks for, as a CycloneDX document: `*.dist-info/sboms/gaugecast.cdx.json`."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SbomHook(BuildHookInterface):
    """Called by hatchling before it makes a wheel, and after it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Write the document and name it."""
        spec = importlib.util.spec_from_file_location("sbom", Path(self.root, "deploy", "sbom.py"))
        assert spec is not None
        assert spec.loader is not None
        sbom = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sbom)
        core = self.metadata.core
        document = sbom.declare(core.name, self.metadata.version, list(core.dependencies))
        self._place = tempfile.TemporaryDirectory(prefix="gaugecast-sbom-")
        file = Path(self._place.name, "gaugecast.cdx.json")
        file.write_text(json.dumps(document, indent=1) + "\n")
        build_data["sbom_files"].append(str(file))

    def finalize(self, *_: object) -> None:
        """It is in the wheel."""
        self._place.cleanup()
