"""`python -m bench.sizing docs/sizing.md`: the tables of that page, of the figures of docs/performance.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

BEGIN = "<!-- written by `python -m bench.sizing docs/sizing.md` -->\n"
END = "<!-- end of the tables -->\n"
STREAMS = (100, 1_000, 10_000, 100_000)
RATES = (1, 20, 1_000, 5_000)
_DAY_S = 86_400
_FIGURE = re.compile(r"^\| `(\w+)` \| ([\d,.]+) \|", re.MULTILINE)


def figures_of(performance: str) -> dict[str, float]:
    """Ours, by name, of what was measured."""
    return {name: float(figure.replace(",", "")) for name, figure in _FIGURE.findall(performance)}


def render(figures: Mapping[str, float]) -> str:
    """Memory by streams; processor and disk by readings a second."""
    one_ms = figures["one_stream_us"] / 1000
    qos1, qos0 = (figures[f"throughput_qos{qos}_vs_paho"] for qos in (1, 0))
    return f"""
## By streams

| streams | memory of the daemon |
|---:|---:|
{"".join(f"| {n:,} | {_memory_mb(figures, n)} |{chr(10)}" for n in STREAMS)}
Two features and 64 units; {figures["rss_stream_kb"]:.3g} KB for each stream beyond the first thousand.

## By readings a second

| readings/s | of one core | kept on the disk in a day | written to the disk in a day |
|---:|---:|---:|---:|
{"".join(_rate(figures, rate) for rate in RATES)}
At QoS 1, the learner and the broker not counted. Those of 1,000/s and above come many at once. The fewer come together,
the more each costs: one alone takes {one_ms:.1f} ms. The most that was confirmed on that machine, with load, broker and
subscriber on the same two cores, is {qos1:,.0f} readings/s at QoS 1 and {qos0:,.0f} at QoS 0.

"""


def _memory_mb(figures: Mapping[str, float], streams: int) -> str:
    beyond = max(0, streams - 1_000) * figures["rss_stream_kb"] / 1000
    return f"{figures['rss_1k_mb'] + beyond:,.0f} MB"


def _rate(figures: Mapping[str, float], rate: int) -> str:
    many = rate >= 1_000
    share = rate * figures["cpu_us_per_forecast" if many else "one_stream_us"] * 1e-6
    written = figures["disk_written_b_1000" if many else "disk_written_b_20"]
    kept_gb, written_gb = (rate * size * _DAY_S / 1e9 for size in (figures["disk_kept_b"], written))
    return f"| {rate:,} | {share:.1%} | {_gb(kept_gb)} | {_gb(written_gb)} |\n"


def _gb(size: float) -> str:
    return f"{size:,.0f} GB" if size >= 10 else f"{size:.1f} GB" if size >= 1 else f"{1000 * size:,.0f} MB"


def filled(page: str, performance: str) -> str:
    """The page with the tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + render(figures_of(performance)) + END + rest.partition(END)[2]


def write(place: Path = Path("docs/sizing.md")) -> None:
    """Bring the page up to what docs/performance.md says."""
    place.write_text(filled(place.read_text(), place.with_name("performance.md").read_text()))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
