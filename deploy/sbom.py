"""What is in an installation, as a CycloneDX 1.5 document: `python deploy/sbom.py VENV_OR_SITE_PACKAGES [OUTPUT]`.

Read from the packages' own metadata, so that it can be made of a folder for another machine; needs nothing but Python.
A wheel has a document of its own, of what it asks for (`declare`): which versions come, only an installation knows.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

OURS = "gaugecast"


def site_packages(place: Path) -> Path:
    """The folder of the packages, of a virtual environment or as it is given."""
    found = sorted(place.glob("lib/python3*/site-packages"))
    return found[-1] if found else place


def component(found: importlib.metadata.Distribution) -> dict[str, Any]:
    """One package."""
    name = _normal(found.metadata["Name"])
    purl = f"pkg:pypi/{name}@{found.version}"
    made: dict[str, Any] = {
        "type": "application" if name == OURS else "library",
        "bom-ref": purl,
        "name": name,
        "version": found.version,
        "purl": purl,
    }
    licence = found.metadata.get("License-Expression") or found.metadata.get("License")
    if licence and "\n" not in licence:
        made["licenses"] = [{"license": {"name": licence}}]
    return made


def needs(found: importlib.metadata.Distribution, known: dict[str, str]) -> list[str]:
    """References of the packages that it asks for and that are there."""
    names = (re.match(r"[A-Za-z0-9._-]+", one) for one in found.requires or [] if "extra ==" not in one)
    asked = {_normal(name[0]) for name in names if name}
    return sorted(known[name] for name in asked & known.keys())


def describe(place: Path) -> dict[str, Any]:
    """The whole document; the same packages give the same document."""
    packages = sorted(importlib.metadata.distributions(path=[str(place)]), key=lambda one: one.metadata["Name"].lower())
    parts = {one["name"]: one for one in map(component, packages)}
    known = {name: str(one["bom-ref"]) for name, one in parts.items()}
    refs = "\n".join(sorted(known.values()))
    ours = parts.pop(OURS, None)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, refs)}",
        "version": 1,
        "metadata": {} if ours is None else {"component": ours},
        "components": list(parts.values()),
        "dependencies": [{"ref": component(one)["bom-ref"], "dependsOn": needs(one, known)} for one in packages],
    }


def declare(name: str, version: str, requirements: list[str]) -> dict[str, Any]:
    """The document of a wheel: itself, and each requirement with the versions that will do as a property.

    Args:
        requirements: As in the metadata, `paho-mqtt<3,>=2.1`; those of extras are left out.
    """
    asked = [one for one in requirements if "extra ==" not in one]
    parts = sorted((_normal(re.split(r"[^A-Za-z0-9._-]", one)[0]), one) for one in asked)
    ours = {"type": "application", "bom-ref": f"pkg:pypi/{name}@{version}", "name": name, "version": version}
    refs = [f"pkg:pypi/{one}" for one, _ in parts]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join([version, *sorted(asked)]))}",
        "version": 1,
        "metadata": {"component": {**ours, "purl": ours["bom-ref"]}},
        "components": [
            {
                "type": "library",
                "bom-ref": ref,
                "name": one,
                "purl": ref,
                "properties": [{"name": "gaugecast:requirement", "value": text}],
            }
            for ref, (one, text) in zip(refs, parts, strict=True)
        ],
        "dependencies": [
            {"ref": ours["bom-ref"], "dependsOn": refs},
            *({"ref": ref, "dependsOn": []} for ref in refs),
        ],
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(words: list[str]) -> int:
    """Write it to a file, or to where the terminal is."""
    if not words:
        print(__doc__, file=sys.stderr)
        return 2
    text = json.dumps(describe(site_packages(Path(words[0]))), indent=1) + "\n"
    if len(words) > 1:
        Path(words[1]).write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
