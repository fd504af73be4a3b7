"""The commands `tanks`, `replay`, `load`, `sink` and `broker`: options in, library calls, one line out."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from gaugecast_sim import faults, wire
from gaugecast_sim.broker import BrokerError, EmbeddedBroker
from gaugecast_sim.link import LinkError, PublishLink
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LOAD_TOPIC, LoadPlan
from gaugecast_sim.publish import Layout, next_tick_ns, publish_in_time, tank_samples
from gaugecast_sim.replay import ReplayError, ReplayPlan, find_csv, replay
from gaugecast_sim.sink import Sink
from gaugecast_sim.tanks import Plant

app = typer.Typer(
    help="Things that pretend to be a plant: tanks, recorded data, load; a subscriber that counts; a broker for demos.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
said = Console(stderr=True, highlight=False)

Host = Annotated[str, typer.Option(help="The broker's name or address.")]
Port = Annotated[int, typer.Option(help="The broker's port.")]
Qos = Annotated[int, typer.Option(min=0, max=1, help="0: may get lost; 1: acked by the broker.")]
Seconds = Annotated[float | None, typer.Option("--for", help="End after so many seconds; else at Ctrl-C.")]


def fail(message: object) -> NoReturn:
    """Say it in red on stderr, and end with exit code 1."""
    said.print(f"[red]{type(message).__name__}[/]: {message}", markup=True)
    raise typer.Exit(1)


@contextmanager
def until_asked() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the old handlers come back afterwards."""
    asked = threading.Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@app.command("tanks")
def run_tanks(
    host: Host = "127.0.0.1",
    port: Port = 1883,
    tanks: Annotated[int, typer.Option(min=1, help="How many tanks.")] = 5,
    period: Annotated[float, typer.Option(help="Seconds between two readings of a tank.")] = 1.0,
    time_scale: Annotated[
        float, typer.Option(help="Seconds of plant time in one second; heater cycles take 25 min.")
    ] = 60,
    seed: Annotated[int, typer.Option(help="Same seed, same plant.")] = 1,
    site: Annotated[str, typer.Option(help="`{site}` in the topic.")] = "demo",
    layout: Annotated[
        str, typer.Option(help="`json`: one message a tank; `separate`: one bare number a feature.")
    ] = "json",
    faults_per_hour: Annotated[float, typer.Option(help="Faults of all kinds, over all tanks; 0 = none.")] = 0.0,
    fault: Annotated[list[faults.Kind] | None, typer.Option(help="Only this kind; may be given several times.")] = None,
    qos: Qos = 1,
    seconds: Seconds = None,
) -> None:
    """Publish simulated tanks in real time.

    Topic `plant/{site}/{tank}/telemetry` with `{"t": <Unix seconds>, "pressure": <bar>, "temperature": <°C>}`, or, with
    `--layout separate`, bare numbers on `plant/{tank}/{feature}`.

        python -m gaugecast_sim tanks --tanks 3 --period 0.5 --time-scale 120 --faults-per-hour 60
    """
    if layout not in ("json", "separate"):
        fail(ValueError(f"expected --layout json or separate, got {layout!r}"))
    chosen: Layout = "json" if layout == "json" else "separate"
    start_ns = next_tick_ns(time.time_ns(), period)
    until_ns = None if seconds is None else start_ns + round(seconds * 1e9)
    plant = Plant(seed, tanks, period, time_scale=time_scale)
    report: list[faults.Injected] = []
    samples = tank_samples(plant, start_ns, site=site, layout=chosen)
    plan = _faults(plant, seed, start_ns, until_ns, faults_per_hour, fault)
    try:
        with until_asked() as asked, PublishLink(host, port) as link:
            count = publish_in_time(faults.inject(samples, plan, report), link, qos=qos, stop=asked, until_ns=until_ns)
            link.drain()
    except LinkError as exc:
        fail(exc)
    print(json.dumps({"published": count, "tampered": len(report)}))


def _faults(
    plant: Plant, seed: int, start_ns: int, until_ns: int | None, per_hour: float, kinds: list[faults.Kind] | None
) -> tuple[faults.Fault, ...]:
    """A schedule over the run, or over one day where the run has no end."""
    if per_hour <= 0:
        return ()
    end_ns = until_ns if until_ns is not None else start_ns + 86_400 * 10**9
    topics = [f"*/{name}/*" for name in plant.names]
    return faults.schedule(
        seed,
        topics,
        start_ns=start_ns,
        end_ns=end_ns,
        period_s=plant.period_s,
        per_hour=per_hour,
        kinds=kinds or tuple(faults.Kind),
    )


@app.command("replay")
def run_replay(
    csv: Annotated[
        Path, typer.Argument(help="A CSV with a header; looked for here, then in the folder named by GAUGECAST_DATA.")
    ],
    topic: Annotated[str, typer.Option(help="May name columns: `plant/{site}/telemetry`.")] = "replay/csv/telemetry",
    host: Host = "127.0.0.1",
    port: Port = 1883,
    column: Annotated[
        list[str] | None, typer.Option(help="Send this one; several times. Default: all but the time.")
    ] = None,
    time_column: Annotated[str, typer.Option(help="Default: the first.")] = "",
    time_format: Annotated[
        str, typer.Option(help="`auto` (ISO 8601, Unix s), `ms`, or strptime; no offset = UTC.")
    ] = "auto",
    separator: Annotated[str, typer.Option(help="Default: guessed from the header.")] = "",
    decimal: Annotated[str, typer.Option(help="Decimal mark.")] = ".",
    rate: Annotated[float | None, typer.Option(help="Rows per second.")] = None,
    speed: Annotated[float | None, typer.Option(help="Multiple of real time, by the file's own times.")] = None,
    first: Annotated[int, typer.Option(help="Rows to leave out at the beginning.")] = 0,
    rows: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    send_time: Annotated[str, typer.Option(help="Event time in the payload: `epoch`, `iso` or `none`.")] = "epoch",
    time_field: Annotated[str, typer.Option(help="Its name in the payload.")] = "t",
    qos: Qos = 1,
) -> None:
    """Publish a CSV, one JSON message a row, at a chosen speed; ends when the broker has confirmed all.

    python -m gaugecast_sim replay ETT/ETTh2.csv --topic ett/h2/telemetry --rate 500
    """
    if send_time not in ("epoch", "iso", "none"):
        fail(ValueError(f"expected --send-time epoch, iso or none, got {send_time!r}"))
    try:
        plan = ReplayPlan(
            find_csv(csv),
            topic,
            columns=tuple(column or ()),
            time_column=time_column,
            time_format=time_format,
            separator=separator,
            decimal=decimal,
            rows_per_s=rate,
            speed=speed,
            first_row=first,
            rows=rows,
            qos=qos,
            send_time=send_time,  # type: ignore[arg-type]  # checked above
            time_field=time_field,
        )
        with PublishLink(host, port) as link:
            report = replay(plan, link)
    except (ReplayError, LinkError) as exc:
        fail(exc)
    print(json.dumps(report._asdict()))


@app.command("load")
def run_load(
    host: Host = "127.0.0.1",
    port: Port = 1883,
    streams: Annotated[int, typer.Option(min=1, help="Number of streams, served in turn.")] = 1000,
    rate: Annotated[
        float | None, typer.Option(help="Messages per second over all; default: all the broker takes.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="End after so many messages.")] = None,
    seconds: Seconds = None,
    topic: Annotated[str, typer.Option(help="With `{feature}`: bare numbers, a topic each.")] = LOAD_TOPIC,
    feature: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    period: Annotated[float, typer.Option(help="Event time between two readings of a stream, seconds.")] = 1.0,
    start: Annotated[
        float | None, typer.Option(help="Event time of the first round, Unix seconds; default: now.")
    ] = None,
    window: Annotated[int, typer.Option(help="Unacked messages at QoS 1.")] = 20_000,
    first: Annotated[int, typer.Option(help="Number of the first message, to go on from an earlier run.")] = 0,
    qos: Qos = 0,
) -> None:
    """Offer load with prebuilt packets over a raw socket; prints what was sent, as JSON.

    Event times of a stream lie one period apart, however fast they are sent: choose `--period` near streams / rate,
    or a `--start` in the past, if event time must not run ahead of the clock.

        python -m gaugecast_sim load --streams 10000 --rate 20000 --for 20 --qos 1 --period 0.5
    """
    start_ms = time.time_ns() // 1_000_000 if start is None else round(start * 1000)
    try:
        plan = LoadPlan(
            streams,
            start_ms * 1_000_000,
            topic=topic,
            features=tuple(feature or ("pressure", "temperature")),
            period_ns=round(period * 1000) * 1_000_000,
            qos=qos,
        )
        generator = LoadGenerator(host, port, plan, rate=rate, count=count, seconds=seconds, window=window, first=first)
        with until_asked() as asked:
            report = generator.run(asked)
    except (ValueError, OSError, wire.WireError) as exc:
        fail(exc)
    print(json.dumps(report._asdict()))


@app.command("sink")
def run_sink(
    filters: Annotated[list[str] | None, typer.Argument(help="Topic filters; default `#`.")] = None,
    host: Host = "127.0.0.1",
    port: Port = 1883,
    qos: Qos = 0,
    count: Annotated[int | None, typer.Option(help="End after so many messages.")] = None,
    seconds: Seconds = None,
    out: Annotated[
        Path | None, typer.Option(help="Write topic, tab, payload, one a line, to this file at the end.")
    ] = None,
    client_id: Annotated[str, typer.Option(help="With `--keep`, the session's name.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="A persistent session.")] = False,
) -> None:
    """Count what comes, without being the bottleneck: one JSON line a second, and one at the end.

    python -m gaugecast_sim sink 'gaugecast/#' --qos 1 --for 20
    """
    sink = Sink(host, port, filters or ["#"], qos=qos, record=out is not None, client_id=client_id, clean=not keep)
    begun = time.monotonic()
    try:
        with until_asked() as asked, sink:
            print(json.dumps({"subscribed": True}), flush=True)
            for rate in sink.rates():
                print(json.dumps({"count": sink.count, "rate": round(rate, 1)}), flush=True)
                late = seconds is not None and time.monotonic() - begun >= seconds
                if asked.is_set() or late or (count is not None and sink.count >= count):
                    break
            sink.wait_for(0, 0.0)  # says so if the connection broke
    except (OSError, wire.WireError) as exc:
        fail(exc)
    if out is not None:
        out.write_bytes(b"".join(m.topic + b"\t" + m.payload + b"\n" for m in sink.messages))
    print(json.dumps({"count": sink.count, "duplicates": sink.duplicates, "payload_bytes": sink.payload_bytes}))


@app.command("broker")
def run_broker(
    port: Annotated[int, typer.Option(help="0 = any free one.")] = 1883,
    seconds: Seconds = None,
) -> None:
    """Run the embedded broker on 127.0.0.1 until Ctrl-C. For trying things out: MQTT 3.1.1, nothing is kept on disk.

    python -m gaugecast_sim broker --port 1883
    """
    try:
        with until_asked() as asked, EmbeddedBroker(port) as broker:
            print(json.dumps({"host": broker.host, "port": broker.port}), flush=True)
            asked.wait(seconds)
    except BrokerError as exc:
        fail(exc)
