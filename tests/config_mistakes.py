"""Mistakes that people make in a configuration, and what gaugecast says: one table for the tests and for the page.

After a change: python tests/config_mistakes.py docs/mistakes.md (with daemon/ on PYTHONPATH).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gaugecast.cli.check import check_offline
from gaugecast.config.reference import write_after
from gaugecast.errors import ConfigError

BEGIN = "<!-- from here on written by `python tests/config_mistakes.py docs/mistakes.md` -->\n"
FILE = "gaugecast.toml"

#: A file that is right, by table.
GOOD = {
    "mqtt": ['host = "broker.example"'],
    "storage": ['directory = "state"'],
    "fleet.tanks": ['subscribe = ["plant/{site}/{tank}"]', 'time = "$.t"', 'period = "1s"'],
    "fleet.tanks.features.pressure": ['unit = "bar"'],
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong place.

    Attributes:
        kind: Heading on the page.
        table: Where `line` stands; it takes the place of the good line of the same key. Made if there is none.
        line: What was written; several lines are several keys.
        key: How the message names the place.
        mend: Words of the message that say what to do.
    """

    kind: str
    table: str
    line: str
    key: str
    mend: str

    def file(self) -> str:
        """The whole file with the mistake in it."""
        tables = {name: list(lines) for name, lines in GOOD.items()}
        lines = tables.setdefault(self.table, [])
        written = self.line.split("\n")
        keys = {line.partition("=")[0].strip() for line in written}
        lines[:] = [line for line in lines if line.partition("=")[0].strip() not in keys] + written
        return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in tables.items()) + "\n"


def _rows() -> Iterator[tuple[str, str, str, str, str]]:
    tanks, pressure = "fleet.tanks", "fleet.tanks.features.pressure"
    # -- spelling
    yield "Spelling", "mqtt", 'hots = "broker"', "[mqtt] hots", "did you mean 'host'?"
    yield "Spelling", "mqtt", "keep_alive = 30", "[mqtt] keep_alive", "did you mean 'keepalive_s'?"
    yield "Spelling", "mqqt", 'host = "broker"', "mqqt", "did you mean 'mqtt'?"
    yield "Spelling", tanks, 'subscribes = ["plant/{tank}"]', f"[{tanks}] subscribes", "did you mean 'subscribe'?"
    yield "Spelling", f"{tanks}.feature.level", 'unit = "m"', f"[{tanks}] feature", "did you mean 'features'?"
    yield "Spelling", pressure, 'units = "bar"', f"[{pressure}] units", "did you mean 'unit'?"
    yield "Spelling", "fleets.pumps", 'period = "1s"', "fleets", "did you mean 'fleet'?"
    yield "Spelling", "storage", "keep_gigabytes = 4", "[storage] keep_gigabytes", "did you mean"
    yield "Spelling", "learning", 'mode = "on"', "[learning] mode", "'auto', 'child', 'unit' or 'off'"
    yield "Spelling", pressure, 'role = "output"', f"[{pressure}] role", "'forecast' or 'input'"
    yield "Spelling", tanks, 'payload = "xml"', f"[{tanks}] payload", "'msgpack' or 'sparkplug'"
    # -- types
    yield "Types", "mqtt", 'port = "many"', "[mqtt] port", "expected a whole number"
    yield "Types", "mqtt", "host = 7", "[mqtt] host", "expected a text in quotes"
    yield "Types", "mqtt", "port = 1883.5", "[mqtt] port", "expected a whole number"
    yield "Types", tanks, 'subscribe = "plant/{site}/{tank}"', f"[{tanks}] subscribe", "expected a list in brackets"
    yield "Types", tanks, "subscribe = []", f"[{tanks}] subscribe", "expected at least one topic"
    yield "Types", tanks, 'retain = "sometimes"', f"[{tanks}] retain", "expected true or false"
    yield "Types", pressure, "valid = 10", f"[{pressure}] valid", "a list in brackets such as [0, 10]"
    yield "Types", "learning", "units = 64", "[learning] units", "expected a list in brackets"
    # -- ranges
    yield "Ranges", "mqtt", "keepalive_s = 1", "[mqtt] keepalive_s", "5 to 3600"
    yield "Ranges", pressure, "valid = [10, 0]", f"[{pressure}] valid", "min < max"
    yield "Ranges", tanks, "input_qos = 2", f"[{tanks}] input_qos", "expected 0 or 1"
    yield "Ranges", tanks, "horizon = 0", f"[{tanks}] horizon", "1 to 1000"
    yield "Ranges", "storage", "keep_days = 0", "[storage] keep_days", "above 0"
    yield "Ranges", "loop", "batch_messages = 1000000", "[loop] batch_messages", "1 to 65536"
    # -- TOML
    yield "TOML", "mqtt", "host = broker.example", f"{FILE}:2:8", "a text stands in quotes"
    yield "TOML", "mqtt", 'host: "broker.example"', f"{FILE}:3:5", "a line is `key = value`"
    yield "TOML", "mqtt", 'client_id = "gauge', f"{FILE}:3:19", "close the text with the quote"
    yield "TOML", "mqtt", 'port = 1883 host = "broker"', f"{FILE}:3:13", "one key a line"
    yield "TOML", "mqtt", 'username = "a"\nusername = "b"', f"{FILE}:4:15", "this key stands twice"
    yield "TOML", "mqtt", "port = 1883\n[storage]", f"{FILE}:6:9", "this table stands twice"
    yield "TOML", "storage", 'directory = "C:\\gaugecast"', f"{FILE}:5:18", "put the text in 'single quotes'"
    yield "TOML", tanks, 'subscribe = ["plant/{tank}"', f"{FILE}:12:1", "close the list with ]"
    # -- paths into payloads
    yield "Paths into payloads", pressure, 'path = "data.p"', f"[{pressure}] path", "$.data.p"
    yield "Paths into payloads", pressure, 'path = "$.data..p"', f"[{pressure}] path", "expected"
    yield "Paths into payloads", tanks, 'time = "t"', f"[{tanks}] time", "$.t"
    yield "Paths into payloads", tanks, 'payload = "number"', f"[{tanks}] time", "leave `time` out"
    yield "Paths into payloads", tanks, 'records = "data[*]"', f"[{tanks}] records", "expected"
    # -- topics
    yield "Topics", tanks, 'subscribe = ["plant/#/x"]', f"[{tanks}] subscribe", "#"
    yield "Topics", tanks, 'subscribe = ["plant/tank{site}{tank}"]', f"[{tanks}] subscribe", "level"
    yield "Topics", tanks, 'subscribe = ["plant/+"]', f"[{tanks}] stream", "capture a level in `subscribe`"
    yield "Topics", tanks, 'stream = "{pump}"', f"[{tanks}] stream", "the topics capture {site}, {tank}"
    yield "Topics", tanks, 'subscribe = ["a/{tank}", "b/{site}"]', f"[{tanks}] subscribe", "capture the same names"
    yield "Topics", tanks, 'output = "forecasts"', f"[{tanks}] output", "lacks {stream}"
    yield "Topics", tanks, 'output = "plant/{stream}"', f"[{tanks}] output", "publish elsewhere"
    yield "Topics", tanks, 'output = "gaugecast/{fleet}/#/{stream}"', f"[{tanks}] output", "cannot be published to"
    yield "Topics", "mqtt", 'status_topic = "status/#"', "[mqtt] status_topic", "cannot be published to"
    yield "Topics", tanks, 'subscribe = ["#", "plant/{site}/{tank}"]', f"[{tanks}] subscribe", "capture the same names"
    # -- shapes
    flat = 'format = "flat"'
    second = 'shape = [{format = "flat", output = "gaugecast/{fleet}/{stream}"}]'
    yield "Formats", tanks, 'format = "csv"', f"[{tanks}] format", "'json', 'flat', 'number' or 'influx'"
    yield "Formats", tanks, 'format = "number"\noutput = "n/{stream}/#"', f"[{tanks}] output", "cannot be published to"
    misspelt = 'format = "number"\noutput = "n/{stream}/{feture}"'
    yield "Formats", tanks, misspelt, f"[{tanks}] output", "{feature} and {horizon}"
    several = 'format = "number"\nhorizon = 2'
    yield "Formats", tanks, several, f"[{tanks}] output", "lacks {horizon}"
    yield "Formats", tanks, 'output = "n/{stream}/{feature}"', f"[{tanks}] output", 'what only format = "number" may'
    yield "Formats", tanks, second, f"[[{tanks}.shape]] no. 1 output", "begin each with a word of its own"
    yield "Formats", tanks, 'shape = [{format = "flat"}]', f"[{tanks}] shape", "each a table"
    yield "Formats", tanks, f'{flat}\nbatch = true\noutput = "f/{{stream}}"', f"[{tanks}] output", "may use {fleet}"
    yield "Formats", tanks, 'format = "number"\nbatch = true', f"[{tanks}] output", "leave `batch` out"
    # -- the broker
    yield "Broker and ports", "mqtt", 'host = "mqtt://broker:1883"', "[mqtt] host", 'host = "broker" and port = 1883'
    yield "Broker and ports", "mqtt", 'host = "mqtts://broker"', "[mqtt] host", "and the table [mqtt.tls]"
    yield "Broker and ports", "mqtt", 'host = "broker:1883"', "[mqtt] host", 'host = "broker" and port = 1883'
    yield "Broker and ports", "mqtt", 'host = ""', "[mqtt] host", "expected a text that is not empty"
    yield "Broker and ports", "mqtt", "port = 0", "[mqtt] port", "1 to 65535"
    yield "Broker and ports", "mqtt", "port = 88833", "[mqtt] port", "1 to 65535"
    yield "Broker and ports", "http", 'host = "http://0.0.0.0:9464"', "[http] host", 'host = "0.0.0.0" and port = 9464'
    yield "Broker and ports", "http", "port = -1", "[http] port", "0 to 65535"
    yield "Broker and ports", "mqtt", 'protocol = "4"', "[mqtt] protocol", "'5' or '3.1.1'"
    yield "Broker and ports", "mqtt.publish", 'client_id = "gaugecast"', "[mqtt.publish] client_id", "choose another"
    # -- TLS
    yield "TLS", "mqtt", "tls = true", "[mqtt] tls", "[mqtt.tls]"
    yield "TLS", "mqtt.tls", 'ca = "absent.pem"', "[mqtt.tls] ca", "expected a file"
    yield "TLS", "mqtt.tls", 'cafile = "ca.pem"', "[mqtt.tls] cafile", "expected one of ca"
    yield "TLS", "mqtt.tls", 'certificate = "here.pem"', "[mqtt.tls] certificate", "key"
    yield "TLS", "mqtt.tls", 'ca = "here.pem"', "[mqtt.tls] ca", "PEM"
    # -- passwords
    yield "Passwords", "mqtt", 'password = "hunter2"', "[mqtt] password", "password_file"
    yield "Passwords", "mqtt", 'host = "mqtt://me:hunter2@broker"', "[mqtt] host", 'host = "broker"'
    yield "Passwords", "mqtt", 'username = "me"\npassword_file = "absent"', "[mqtt] password_file", "expected a file"
    yield "Passwords", "mqtt", 'password_file = "here"', "[mqtt] password_file", "set without `username`"
    account = 'username = "me"\npassword_file = "here"'
    yield "Passwords", "mqtt", account, "[mqtt] password_file", "chmod o-rwx here"
    yield "Passwords", "mqtt", account, "[mqtt] password_file", "add [mqtt.tls]"
    # -- directories
    yield "Directories", "storage", 'directory = "here"', "[storage] directory", "expected a directory"
    yield "Directories", "storage", "directory = 7", "[storage] directory", "expected a path in quotes"
    # -- periods
    yield "Periods", tanks, 'period = "1 second"', f"[{tanks}] period", "`500ms`, `1s`, `5m`"
    yield "Periods", tanks, 'period = "0s"', f"[{tanks}] period", "at least 1ms"
    yield "Periods", tanks, "period = -1", f"[{tanks}] period", "expected a duration"
    yield "Periods", tanks, 'period = "2y"', f"[{tanks}] period", "expected a duration"
    yield "Periods", tanks, 'grace = "half"', f"[{tanks}] grace", "expected a duration"
    yield "Periods", tanks, "stale_after = true", f"[{tanks}] stale_after", "expected a number"
    # -- times
    yield "Times", tanks, 'time_unit = "sec"', f"[{tanks}] time_unit", "'s', 'ms', 'us', 'ns' or 'iso8601'"
    yield "Times", tanks, 'timezone = "CEST"', f"[{tanks}] timezone", "Europe/Berlin"
    yield "Times", tanks, 'timezone = "Berlin"', f"[{tanks}] timezone", "Europe/Berlin"
    yield "Times", tanks, 'sequence = "$.seq"', f"[{tanks}] sequence", "remove one"
    yield "Times", tanks, 'hold = "100ms"', f"[{tanks}] hold", "one period to 10,000 periods"
    yield "Times", tanks, 'hold = "1m"\nlateness = "1m"', f"[{tanks}] lateness", "not beside `hold`"
    yield "Times", tanks, 'begins_at = ["6:00"]', f"[{tanks}] begins_at", 'a time of the day such as "06:00"'
    yield "Times", tanks, 'begins = "batch"', f"[{tanks}] begins", "$"
    # -- fleets
    yield "Fleets and features", "fleet.my tanks", 'period = "1s"', f"{FILE}:15:11", "close the table's name"
    yield "Fleets and features", pressure, 'role = "input"', f"[{tanks}] features", 'one needs role = "forecast"'
    yield (
        "Fleets and features",
        f"{tanks}.features.p",
        'path = "$.pressure"',
        f"[{tanks}.features.p] path",
        "each its own",
    )
    yield "Fleets and features", "fleet.pumps", 'period = "1s"', "[fleet.pumps] features", "missing"


MISTAKES = [Mistake(*row) for row in _rows()]


def complaint(mistake: Mistake, directory: Path) -> str:
    """What `gaugecast check` says, a warning where the file can be used, with the file's name alone for its path."""
    path = directory / FILE
    path.write_text(mistake.file())
    for name in ("here", "here.pem"):
        (directory / name).write_text("x")
        (directory / name).chmod(0o644)
    try:
        plan = check_offline(path, {})
    except ConfigError as exc:
        return str(exc).replace(f"{directory}/", "")
    return "\n".join(f"warning: {warning}" for warning in plan.warnings).replace(f"{directory}/", "")


def render_mistakes() -> str:
    """The page's blocks, by kind: what was written, and behind the arrow what is said."""
    kinds: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for mistake in MISTAKES:
            said = complaint(mistake, Path(directory)).replace("\n", "\n  ")
            told = f"[{mistake.table}]\n{mistake.line}\n→ {said}"
            if told not in (blocks := kinds.setdefault(mistake.kind, [])):
                blocks.append(told)
    parts = (f"\n## {kind}\n\n```text\n" + "\n\n".join(blocks) + "\n```" for kind, blocks in kinds.items())
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    write_after(Path(sys.argv[1]), BEGIN, render_mistakes())
