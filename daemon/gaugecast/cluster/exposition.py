"""Metrics of all parts as one text: each sample with a label `partition`, each family told once."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(\{)?")
#: Of a family these end its samples' names.
_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created")


def join(texts: Mapping[str, str]) -> str:
    """Texts in the format 0.0.4, by the value of their label `partition`, as one."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for part, text in texts.items():
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                known = heads.setdefault(family, [])
                if line not in known and len(known) < 2:
                    known.append(line)
            elif line:
                samples.setdefault(_family_of(line, family), []).append(_labelled(line, part))
    lines = [line for family in dict.fromkeys([*heads, *samples]) for line in _told(family, heads, samples)]
    return "\n".join(lines) + "\n"


def _told(family: str, heads: Mapping[str, list[str]], samples: Mapping[str, list[str]]) -> list[str]:
    return [*heads.get(family, ()), *samples.get(family, ())]


def _family_of(line: str, family: str) -> str:
    found = _SAMPLE.match(line)
    name = found[1] if found else ""
    return family if name == family or name.removesuffix(_suffix(name)) == family else name


def _suffix(name: str) -> str:
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")


def _labelled(line: str, part: str) -> str:
    label = f'partition="{part}"'
    found = _SAMPLE.match(line)
    assert found is not None
    if found[2]:
        inner = "" if line[found.end()] == "}" else ","
        return f"{line[: found.end()]}{label}{inner}{line[found.end() :]}"
    return f"{line[: found.end()]}{{{label}}}{line[found.end() :]}"
