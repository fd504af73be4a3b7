"""What the demo shows: the table of `watch` with the last trouble under it, or plain lines where no terminal is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from gaugecast.cli.figures import NOTHING, show_count, show_skill, show_value
from gaugecast.cli.watch_screen import Trails, render_streams
from gaugecast.control import StreamsAnswer
from gaugecast.demo.tanks import PLAIN_WORDS
from gaugecast.status import Status
from gaugecast_sim.faults import Injected

_FOOT_LINES = 2
_ONE_FAULT_NS = 3 * 10**9  # no fault lasts longer


def render_screen(
    answer: StreamsAnswer, trails: Trails, troubles: Sequence[Injected], *, now_ns: int, width: int, height: int,
    place: str = "",
) -> RenderableType:  # fmt: skip
    """The whole screen of a terminal; pure.

    Args:
        place: Where the console is, if there is one.
    """
    table = render_streams(answer, trails, width=width, height=height - _FOOT_LINES)
    where = Text("the same as a page: ", style="dim").append(place, style="bold cyan") if place else Text()
    return Group(table, where, _last_trouble(troubles, now_ns, width))


def _last_trouble(troubles: Sequence[Injected], now_ns: int, width: int) -> Text:
    hint = Text("Ctrl-C ends the demo", style="dim")
    if not troubles:
        return hint
    last = troubles[-1]
    age_s = max(0.0, (now_ns - last.at_ns) / 1e9)
    style = "bold yellow" if age_s < 4 else "yellow" if age_s < 12 else "dim"
    text = Text(no_wrap=True, overflow="ellipsis").append(f"{tank_of(last)} {PLAIN_WORDS[last.kind]}", style=style)
    text.append(f" ({age_s:.0f} s ago)", style="dim")
    gap = width - text.cell_len - hint.cell_len - 1
    return text.append(" " * gap).append_text(hint) if gap > 1 else text


def tank_of(trouble: Injected) -> str:
    """`tank-03` of `plant/demo/tank-03/telemetry`."""
    return trouble.topic.split("/")[2]


def plain_line(answer: StreamsAnswer, after_s: float) -> str:
    """One line now and then, for logs and pipes: the counts, the skill, and the first stream as an example."""
    total = answer.status.total
    line = f"{after_s:4.0f} s  {total.received:5d} readings  {total.forecasts:5d} forecasts"
    if not answer.status.ready:
        return f"{line}  {answer.status.doing}"
    for row in answer.rows[:1]:
        observed, forecast = (show_value(v, row.observed) for v in (row.observed, row.forecast))
        line += f"  {row.stream} {row.feature} {observed}, next {forecast} {row.unit}"
    return f"{line}  skill {skill_words(answer.status)}"


def skill_words(status: Status) -> str:
    """`pressure 71 %, temperature 64 %`."""
    scores = [item for _, fleet, _ in status.at_work() for item in fleet.features.items()]
    words = [f"{feature} {show_skill(score.skill).plain}" for feature, score in scores]
    return ", ".join(words) or NOTHING


def render_summary(status: Status, troubles: Sequence[Injected], after_s: float) -> RenderableType:
    """What is left on the screen when the demo has ended."""
    streams = sum(streams.active for _, _, streams in status.at_work())
    lines = [
        Text(f"{after_s:.0f} s: ", style="dim")
        .append(f"{status.total.forecasts} forecasts", style="bold")
        .append(f" of {status.total.received} readings from {show_count(streams, 'tank')}"),
        Text("      ", style="dim").append(_quickness(status)),
        Text("      skill over persistence: ").append(skill_words(status), style="bold"),
        Text(f"      {_fault_words(troubles)}"),
    ]
    return Group(*lines)


def _quickness(status: Status) -> str:
    latency_s = status.publishing.latency_s
    if latency_s is None:
        return f"{status.publishing.unconfirmed} unconfirmed"
    return f"{latency_s * 1e3:.1f} ms from reading to forecast, {show_count(status.total.rejected, 'message')} refused"


def _fault_words(troubles: Sequence[Injected]) -> str:
    """`5 faults, the last: tank-06 sends NaN`; a fault may tamper with several messages."""
    struck: list[Injected] = []
    for one in troubles:
        same = [other for other in struck if (other.kind, other.topic) == (one.kind, one.topic)]
        if not same or one.at_ns - same[-1].at_ns > _ONE_FAULT_NS:
            struck.append(one)
    last = "".join(f", the last: {tank_of(one)} {PLAIN_WORDS[one.kind]}" for one in struck[-1:])
    return f"{show_count(len(struck), 'fault')}{last}"
