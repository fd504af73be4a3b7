"""What `gaugecast explain` found, as one page of HTML that needs no network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaugecast.cli.explain import cells_of, compared_text, head_of, instant_text
from gaugecast.learn.pages import html as parts
from gaugecast.learn.pages.drawing import FORECAST, OBSERVED, SECOND, load_pyplot, name_lines, save, set_time_axis

if TYPE_CHECKING:
    from gaugecast.console.explained import Moment
    from gaugecast.service.explaining import Explained

_MOST_FEATURES = 8


def write_page(found: Explained, path: Path) -> None:
    """Write it.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    body = list(_of(found.moments, "As it was"))
    if found.instead is not None:
        body += _of(found.instead, "With what was tried")
    path.write_text(parts.page(head_of(found), compared_text(found), body), encoding="utf-8")


def _of(moments: list[Moment], title: str) -> Iterator[str]:
    yield parts.heading(title)
    if not moments:
        yield parts.paragraph("No step was made of these readings.")
        return
    yield parts.quote(moments[-1].reason or "Nothing is strange at the last of these steps.")
    yield from map(parts.paragraph, moments[-1].crossings)
    plt = load_pyplot()
    with tempfile.TemporaryDirectory() as place:
        yield parts.picture(save(plt, draw_moments(plt, moments), Path(place) / "steps.png"), "observed and expected")
    detectors = list(dict.fromkeys(d for m in moments for one in m.features.values() for d in one.detectors))
    head = ("time", "feature", "observed", "expected", "interval", "score", *detectors, "anomaly")
    rows = [
        (
            instant_text(moment.at_s), name, *cells_of(one),
            *(f"{one.detectors[d]:.2f}" if d in one.detectors else "–" for d in detectors),
            " ".join(filter(None, (moment.open, *moment.told))),
        )
        for moment in reversed(moments) for name, one in moment.features.items()
    ]  # fmt: skip
    yield parts.folded(f"All {len(moments)} steps, the last first", parts.table(head, rows))


def draw_moments(plt: Any, moments: list[Moment]) -> Any:
    """A panel a feature: observed, expected and its interval, and where an anomaly is open; below all the scores."""
    names = list(moments[-1].features)[:_MOST_FEATURES]
    when = np.array([round(moment.at_s * 1e9) for moment in moments], "datetime64[ns]")
    figure, axes = plt.subplots(len(names) + 1, 1, figsize=(9, 2.5 + 1.5 * len(names)), sharex=True, squeeze=False)
    is_open = np.array([bool(moment.open) for moment in moments])
    for name, panel in zip(names, axes[:, 0], strict=False):
        columns = {
            key: np.array([_number(getattr(moment.features.get(name), key, None)) for moment in moments])
            for key in ("observed", "expected", "lower", "upper", "score")
        }
        panel.fill_between(when, columns["lower"], columns["upper"], color=FORECAST, alpha=0.15, linewidth=0)
        panel.plot(when, columns["observed"], color=OBSERVED, linewidth=2.2, label="observed")
        panel.plot(when, columns["expected"], color=FORECAST, linewidth=1.1, label="expected")
        panel.fill_between(
            when, 0, 1, where=is_open, transform=panel.get_xaxis_transform(), color=SECOND, alpha=0.12, linewidth=0,
            label="anomaly",
        )  # fmt: skip
        panel.set_title(name)
        axes[-1, 0].plot(when, columns["score"], linewidth=1.2, label=name)
    axes[-1, 0].axhline(1.0, color=SECOND, linewidth=1, linestyle=":")
    axes[-1, 0].set_title("score; 1 is the limit")
    axes[-1, 0].legend(loc="upper left", frameon=False, ncols=len(names))
    name_lines(figure, axes[0, 0])
    set_time_axis(plt, axes[-1, 0], timed=True)
    return figure


def _number(value: float | None) -> float:
    return np.nan if value is None else value
