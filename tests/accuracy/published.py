"""Figures from papers: mean square error, horizon 1, FSNet's protocol, mean over the seven variables."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One method's figure on one set; `mae` is `None` where the paper has none at this horizon."""

    method: str
    source: str
    mse: float
    mae: float | None = None


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "ETTh2": (
        Published("FSNet", "Pham et al., ICLR 2023", 0.466),
        Published("OneNet", "Wen et al., NeurIPS 2023; users reproduce 0.657", 0.380),
        Published("LSTD", "Cai et al., AAAI 2025", 0.377, 0.347),
        Published("DSOF, best, no leak", "Lau et al., ICLR 2025", 0.365),
    ),
}

#: What ours must reach: (online after warm-up, cold start).
BOUNDS: dict[str, tuple[float, float]] = {"ETTh1": (0.200, 0.208), "ETTh2": (0.312, 0.320)}
