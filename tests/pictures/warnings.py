"""From reading to warning: forecasts, intervals, a crossing, an anomaly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gaugecast.demo.tanks import PERIOD_S
from gaugecast_sim.faults import Fault, Kind
from pictures.paper import BAD, DIM, EXPECTED, GOOD, OBSERVED, headroom, picture
from pictures.run import BEGIN_NS, Run, run_tanks

TANKS, STEPS = 6, 1200
SHOWN = 90  # steps of a picture
FEATURE, TANK = "pressure", "tank-01"


def draw(folder: Path) -> dict[str, float]:
    """All four; the figures that the page has of them."""
    calm = run_tanks(tanks=TANKS, steps=STEPS)
    found = {"skill": draw_forecast(calm, folder / "forecast.svg")}
    found |= draw_intervals(calm, folder / "intervals.svg")
    found |= draw_crossing(calm, folder / "crossing.svg")
    return found | draw_anomaly(folder / "anomaly.svg")


def draw_forecast(run: Run, place: Path) -> float:
    """What came, what had been expected, and the difference; the skill over the stretch."""
    told = run.forecasts[TANK][-SHOWN:]
    at = seconds(told)
    with picture(place, 2, sharex=True, size=(7.4, 3.6), height_ratios=(3, 1)) as (above, below):
        above.plot(at, values(told, "observed"), color=OBSERVED, label="observed")
        above.plot(at, values(told, "predicted"), "--", color=EXPECTED, label="expected one step before")
        above.set_ylabel("pressure, bar")
        above.set_title("Each reading beside the forecast that had been made for it")
        above.legend(loc="upper left", ncols=2)
        headroom(above)
        residual = values(told, "residual")
        below.bar(at, residual, width=0.35, color=[BAD if abs(r) > 0.03 else DIM for r in residual])
        below.set_ylabel("residual")
        below.set_xlabel("seconds, two readings each")
    return skill(run)


def draw_intervals(run: Run, place: Path) -> dict[str, float]:
    """The path ahead at one instant, and what came; shares of what lay within, of all tanks."""
    told = run.forecasts[TANK]
    now = len(told) - 40
    made = told[now]
    with picture(place, size=(7.4, 2.8)) as axes:
        shown = told[now - 40 : now + 14]
        axes.plot(seconds(shown[:41]), values(shown[:41], "observed"), color=OBSERVED, label="observed")
        axes.plot(seconds(shown[40:]), values(shown[40:], "observed"), ":", color=OBSERVED, label="what came then")
        ahead = [(0.0, made["observed"][FEATURE], None)]
        ahead += [(h["for"] - made["at"], h["forecast"][FEATURE], h["intervals"][FEATURE]) for h in made["horizons"]]
        at = [made["at"] - BEGIN_NS / 1e9 + distance for distance, _, _ in ahead]
        for level, shade in (("0.95", 0.12), ("0.8", 0.22)):
            low = [bounds[level][0] if bounds else value for _, value, bounds in ahead]
            high = [bounds[level][1] if bounds else value for _, value, bounds in ahead]
            axes.fill_between(
                at, low, high, color=EXPECTED, alpha=shade, linewidth=0, label=f"{float(level):.0%} of what comes"
            )
        axes.plot(at, [value for _, value, _ in ahead], "o--", color=EXPECTED, markersize=3, label="forecast")
        axes.axvline(at[0], color=DIM, linewidth=0.8)
        axes.set_title("At one instant: 0.5, 2 and 5 seconds ahead, with intervals")
        axes.set_ylabel("pressure, bar")
        axes.legend(loc="upper left", ncols=3)
        headroom(axes)
        axes.set_xlabel("seconds")
    return {f"within_{level}": share_within(run, level) for level in ("0.8", "0.95")}


def draw_crossing(run: Run, place: Path) -> dict[str, float]:
    """A crossing that was foretold, with the instants that were said; how many of all came within them."""
    begun = [(stream, one) for stream in run.crossings for one in run.crossings[stream]
             if one["event"] == "begin" and not one["crossed"] and one.get("median")]  # fmt: skip
    came = [(stream, one, reached(run, stream, one)) for stream, one in begun]
    within = [(s, o, t) for s, o, t in came if t is not None and o["early"] <= t <= o["late"]]
    stream, one, at = max(within, key=lambda row: row[2] - row[1]["at"])
    told = run.forecasts[stream]
    first = next(i for i, said in enumerate(told) if said["at"] >= one["at"])
    shown = told[max(0, first - 40) : first + 22]
    with picture(place, size=(7.4, 2.8)) as axes:
        axes.plot(seconds(shown), values(shown, "observed"), color=OBSERVED, label="observed")
        axes.axhline(one["above"], color=BAD, linewidth=1, label=f"threshold {one['above']:g} bar")
        start = BEGIN_NS / 1e9
        axes.axvline(one["at"] - start, color=DIM, linewidth=0.8)
        axes.annotate(f"told here: {one['probability']:.0%} likely", (one["at"] - start, one["above"]),
                      xytext=(6, -60), textcoords="offset points", ha="left", color=DIM)  # fmt: skip
        axes.plot([one["early"] - start, one["late"] - start], [one["above"]] * 2, color=EXPECTED, linewidth=6,
                  alpha=0.35, solid_capstyle="butt", label="early to late")  # fmt: skip
        axes.plot(one["median"] - start, one["above"], "D", color=EXPECTED, markersize=5, label="median")
        axes.plot(at - start, one["above"], "o", color=GOOD, markersize=5, label="crossed")
        axes.set_title("When a threshold will be crossed, and when it was")
        axes.set_ylabel("pressure, bar")
        axes.set_xlabel("seconds")
        axes.legend(loc="upper left", ncols=3)
        headroom(axes)
    happened = [(o, t) for _, o, t in came if t is not None]
    inside = sum(o["early"] <= t and t - PERIOD_S <= o["late"] for o, t in happened)  # between two readings
    return {"foretold": len(came), "happened": len(happened), "within_early_late": inside}


def draw_anomaly(place: Path) -> dict[str, float]:
    """A temperature that stands still: the score, the event's begin and end."""
    stuck_s, stuck_for_s = 400.0, 60.0
    begin_ns = BEGIN_NS + round(stuck_s * 1e9)
    fault = Fault(Kind.STUCK, f"*/{TANK}/*", begin_ns, begin_ns + round(stuck_for_s * 1e9), 0.0, "temperature")
    run = run_tanks(tanks=TANKS, steps=STEPS, faults=[fault])
    told = [one for one in run.forecasts[TANK] if abs(one["at"] - BEGIN_NS / 1e9 - stuck_s - 50) < 110]
    start = BEGIN_NS / 1e9
    near = [one for one in run.anomalies[TANK] if abs(one["at"] - start - stuck_s - 50) < 110]
    with picture(place, 2, sharex=True, size=(7.4, 3.6)) as (above, below):
        above.plot(seconds(told), values(told, "observed", "temperature"), color=OBSERVED)
        above.axvspan(stuck_s, stuck_s + stuck_for_s, color=BAD, alpha=0.08, linewidth=0)
        above.set_ylabel("temperature, °C")
        above.set_title("A sensor that stands still, and what is said of it")
        scored = [one for one in told if one.get("score")]
        below.plot(seconds(scored), [one["score"]["value"] for one in scored], color=EXPECTED, label="score")
        below.axhline(1.0, color=BAD, linewidth=1, label="limit")
        for one in near:
            if one["event"] in ("begin", "end"):
                below.axvline(one["at"] - start, color=GOOD, linewidth=1)
                below.annotate(one["event"], (one["at"] - start, below.get_ylim()[1]), xytext=(3, -10),
                               textcoords="offset points", color=GOOD)  # fmt: skip
        below.set_ylabel("score")
        below.set_xlabel("seconds")
        below.legend(loc="upper left", ncols=2)
    began = next(one for one in near if one["event"] == "begin")
    print(f"the event: {began['reason']}")
    calm = sum(one["event"] == "begin" for stream in run.anomalies for one in run.anomalies[stream])
    return {"anomaly_after_s": began["at"] - start - stuck_s, "anomalies_in_all": calm}


def seconds(told: list[dict[str, Any]]) -> list[float]:
    """Event times since the run began."""
    return [float(one["at"]) - BEGIN_NS / 1e9 for one in told]


def values(told: list[dict[str, Any]], key: str, feature: str = FEATURE) -> list[float]:
    """One feature of a part of the messages; NaN where it is null."""
    found = [(one[key] or {}).get(feature) for one in told]
    return [math.nan if value is None else float(value) for value in found]


def skill(run: Run) -> float:
    """1 − squared error / that of the last value, of all tanks, after the first hundred steps."""
    error = last = 0.0
    for told in run.forecasts.values():
        seen = values(told, "observed")
        for before, now, residual in zip(seen[100:-1], seen[101:], values(told, "residual")[101:], strict=True):
            if not math.isnan(residual + before + now):
                error, last = error + residual**2, last + (now - before) ** 2
    return 1 - error / last


def share_within(run: Run, level: str) -> float:
    """Of the values that came two seconds later, the share within the bounds that had been told."""
    inside = total = 0
    for told in run.forecasts.values():
        seen = {one["at"]: one["observed"][FEATURE] for one in told}
        for one in told[200:]:
            ahead = one["horizons"][1]
            value, bounds = seen.get(ahead["for"]), (ahead["intervals"] or {}).get(FEATURE)
            if value is not None and bounds:
                low, high = bounds[level]
                inside, total = inside + (low <= value <= high), total + 1
    return inside / total


def reached(run: Run, stream: str, told: dict[str, Any]) -> float | None:
    """When the threshold was first passed within what was looked at; `None`: it was not."""
    for one in run.forecasts[stream]:
        if told["at"] < one["at"] <= told["at"] + 5.0 and one["observed"][FEATURE] > told["above"]:
            return float(one["at"])
    return None
