"""Which topics meet: filters with filters, and output templates with filters.

Both are globs, and two globs meet where some text matches both.
"""

from __future__ import annotations

from gaugecast.topics.template import Capture, Template

# Tokens of a glob: one character, any text within a level, any text over levels.
_LEVEL = "+level"
_ALL = "#all"
Glob = tuple[str, ...]


def filters_overlap(a: str, b: str) -> bool:
    """Whether a topic exists that both filters match."""
    if (a[:1] == "$" and b[:1] in ("+", "#")) or (b[:1] == "$" and a[:1] in ("+", "#")):
        return False
    return any(_globs_meet(x, y) for x in _filter_globs(a) for y in _filter_globs(b))


def output_globs(output: Template, fleet: str, stream: Template) -> Glob:
    """All topics that an output template can make: captures span a level, payload fields may span levels."""
    glob: list[str] = []
    for part in output.parts:
        if isinstance(part, str):
            glob += part
        elif part == Capture("fleet"):
            glob += fleet
        elif part == Capture("stream"):
            for piece in stream.parts:
                glob += piece if isinstance(piece, str) else [_LEVEL] if isinstance(piece, Capture) else [_ALL]
        else:
            glob.append(_ALL)
    return tuple(glob)


def output_meets_filter(output: Glob, mqtt_filter: str) -> bool:
    """Whether a topic that the output can make is matched by the filter."""
    if output[:1] == ("$",) and mqtt_filter[:1] in ("+", "#"):
        return False
    return any(_globs_meet(output, glob) for glob in _filter_globs(mqtt_filter))


def outputs_meet(a: Glob, b: Glob) -> bool:
    """Whether two outputs can make the same topic."""
    return _globs_meet(a, b)


def _filter_globs(mqtt_filter: str) -> list[Glob]:
    """A filter as globs; two where it ends in `/#`, which stands for the parent level, too."""
    stem, hashed = (mqtt_filter[:-1], True) if mqtt_filter.endswith("#") else (mqtt_filter, False)
    glob = tuple(_LEVEL if char == "+" else char for char in stem)
    if not hashed:
        return [glob]
    return [(*glob, _ALL), glob[:-1]] if glob else [(_ALL,)]


def _globs_meet(a: Glob, b: Glob) -> bool:
    """Whether some text matches both globs: a walk over the product of their automata, at most |a|·|b| places."""
    seen: set[tuple[int, int]] = set()
    places = [(0, 0)]
    while places:
        place = places.pop()
        if place in seen:
            continue
        seen.add(place)
        i, j = place
        if i == len(a) and j == len(b):
            return True
        x = a[i] if i < len(a) else ""
        y = b[j] if j < len(b) else ""
        if x and x == y:
            places.append((i + 1, j + 1))
        if x in (_LEVEL, _ALL):
            places.append((i + 1, j))  # it stands for nothing more
            if len(y) == 1 and (x == _ALL or y != "/"):
                places.append((i, j + 1))
        if y in (_LEVEL, _ALL):
            places.append((i, j + 1))
            if len(x) == 1 and (y == _ALL or x != "/"):
                places.append((i + 1, j))
    return False
