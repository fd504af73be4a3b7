"""Makes `first_ledger`: the state directory of a daemon that never was, and every message that it published.

Run once, with the code of version 0.1.0 at commit 7c98bc7 ("A rehearsal has no filter that nobody gives …"), whose
parts it drives. It is kept to show how the ledger was made; it need not run with later code, for the recorded files
are what must stay. From the root of that version:

    PYTHONPATH=daemon:tests OPENBLAS_NUM_THREADS=1 python -m recorded.record tests/recorded/first_ledger

The parts are the daemon's own (loop, ledger, pipeline, decoder, checkpoints). Link and clock are made, and nothing is
left to chance, so that another run on the same machine gives the same rows.
"""

from __future__ import annotations

import io
import lzma
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gaugecast.ledger.checkpoint_writer import InlineCheckpointWriter
from gaugecast.service.checkpointing import Checkpointer
from gaugecast.service.clock import ArrivalClock
from gaugecast.service.loop import DataLoop
from gaugecast.service.models import ModelStore
from gaugecast.service.recovery import recover

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.engine.selftest import fingerprint
from gaugecast.fleet import Feature, Fleet
from gaugecast.ledger.store import Ledger
from gaugecast.model import Layer, Model
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline, events
from gaugecast.pipeline.rehearsal import Rehearsal
from gaugecast.records import Input
from recorded.link import ScriptLink
from recorded.plant import BEGIN_NS, Plant
from simulation.points import Clock
from support.models import random_model

#: A fleet that the second process no longer has.
_OLD = Fleet("old", ("old/{device}",), "{device}", (Feature("v", path=("v",), aggregate="mean"),), 10**9)


class Life:
    """One process of the daemon, wired as `service.daemon` wires it. Ends with `kill`."""

    def __init__(self, settings: Settings, fleets: Sequence[Fleet], link: ScriptLink, clock: Clock) -> None:
        self.directory, self.link, self._clock = settings.storage.directory, link, clock
        self.store = ModelStore(self.directory)
        self.ledger = Ledger.open(self.directory, settings.storage)
        clean = self.ledger.begin_run()
        self.ledger.note_fingerprint(fingerprint())
        self.pipeline, report = recover(self.directory, self.ledger, lambda: Pipeline(settings.loop, self.store.load))
        assert not report.differing
        assert not report.notes
        writer = InlineCheckpointWriter(self.directory, settings.storage)
        self.checkpointer = Checkpointer(self.pipeline, writer, settings.storage, now_s=clock.monotonic())
        self.checkpointer.slice_bytes = 1500  # so that a checkpoint takes several rounds
        self._arrivals = ArrivalClock(self.ledger.received_at_ns, wall=clock.wall, elapsed=clock.elapsed)
        self._limits = settings.loop
        self._orders = self._configuration(fleets)
        self.loop = DataLoop(
            link=link,
            ledger=self.ledger,
            pipeline=self.pipeline,
            decoder=Decoder(tuple(fleets), settings.loop),
            clock=self._arrivals,
            settings=settings.loop,
            cautious=not clean,
            commands=self._take_orders,
            monotonic=clock.monotonic,
        )

    def _configuration(self, fleets: Sequence[Fleet]) -> list[Input]:
        lanes, now_ns = self.pipeline.lanes, self._arrivals.latest
        made = [] if lanes else [events.event_input(events.limits_of(self._limits), received_at_ns=now_ns)]
        gone = [name for name in lanes if name not in {fleet.name for fleet in fleets}]
        made += [events.event_input(events.FleetRetired(), received_at_ns=now_ns, fleet=name) for name in gone]
        changed = [f for f in fleets if f.name not in lanes or lanes[f.name].fleet.digest() != f.digest()]
        return made + [events.configured(fleet, received_at_ns=now_ns) for fleet in changed]

    def _take_orders(self, _now_ns: int) -> list[Input]:
        orders, self._orders = self._orders, []
        now_ns = self._arrivals.latest
        return [order._replace(received_at_ns=now_ns, at_ns=now_ns) for order in orders]

    def order(self, event: events.Event, fleet: str, stream: str = "", state: bytes = b"") -> None:
        """Let an event be taken with the next batch."""
        self._orders.append(events.event_input(event, received_at_ns=0, fleet=fleet, stream=stream, state=state))

    def shadow(self, fleet: str, model: Model, *, warm: bool) -> None:
        """Put a model into shadow, with what it remembers of the past if it is to be `warm`."""
        version = self.store.add(fleet, model)
        sha256 = model.manifest.sha256
        self.order(events.ModelInstalled("shadow", version, sha256=sha256, reason="asked"), fleet)
        if warm:
            rehearsal = Rehearsal([(self.pipeline.lanes[fleet].fleet, model)], self._limits)
            for batch in self.ledger.replay(0):
                rehearsal.take(batch.inputs)
            for chunk in rehearsal.memories(fleet):
                self.order(events.ShadowWarmed(version), fleet, state=chunk)

    def in_force(self, fleet: str, model: Model, reason: str, good: Model) -> None:
        """Put a model in force."""
        version = self.store.add(fleet, model)
        event = events.ModelInstalled(
            "in_force", version, sha256=model.manifest.sha256, reason=reason, good=good.manifest.version
        )
        self.order(event, fleet)

    def turn(self) -> list[bytes]:
        """One round of the main loop; a line of the bodies file for each output that it made."""
        before = self.ledger.last_seq
        self.loop.turn()
        self.checkpointer.turn(self.ledger.last_seq, self._clock.monotonic())
        lines = []
        for row in self.ledger.outputs(before, self.ledger.last_seq):
            assert row.body is not None
            head = f"{row.position}\t{row.fleet}\t{row.stream}\t{row.step}\t"
            lines.append(head.encode() + row.body + b"\n")
        return lines

    def kill(self) -> None:
        """What `kill -9` leaves."""
        self.ledger.close()


def _models(fleets: Sequence[Fleet]) -> dict[str, list[Model]]:
    """Weights of the two fleets that have a network: of one shape, except for the third of the tanks."""
    by_name = {fleet.name: fleet for fleet in fleets}

    def model(fleet: str, layers: Sequence[Layer], seed: int) -> Model:
        known = by_name[fleet]
        return random_model(
            fleet, [(f.name, f.role) for f in known.features], known.rows, layers=layers, seed=seed, gain=0.3
        )

    tanks, other, vats = (Layer(8),), (Layer(6, layer_norm=True), Layer(4)), (Layer(5),)
    return {
        "tanks": [model("tanks", other if seed == 3 else tanks, seed) for seed in (1, 2, 3, 4)],
        "vats": [model("vats", vats, seed) for seed in (5, 6)],
    }


class Story:
    """What happens, second by second."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._fleets = settings, resolve_fleets(settings)
        self._models = _models(self._fleets)
        self._clock = Clock(BEGIN_NS)
        self.lines: list[bytes] = []
        self._plant = Plant()
        before = [replace(f, bridge=2) if f.name == "meters" else f for f in self._fleets]
        self._life = Life(
            settings, [*before, _OLD], ScriptLink(self._clock, epoch=1, session_present=False), self._clock
        )

    def run(self) -> None:
        """Tell it; a process that is killed is the end."""
        for second in range(240):
            self._happen(second)
            link = self._life.link
            for group in self._plant.speak(second, self._clock.wall(), link.epoch):
                link.coming.extend(group)
                self.lines += self._life.turn()
            self._clock.advance(0.9)
            self.lines += self._life.turn()
            self._clock.advance(0.1 - self._clock.elapsed_ns % 100_000_000 / 1e9)
        self._life.kill()

    def _happen(self, second: int) -> None:
        life, tanks, vats = self._life, self._models["tanks"], self._models["vats"]
        if second in (60, 110, 170):
            life.checkpointer.add_cost(10.0)  # so dear that a checkpoint is due
        match second:
            case 20:
                life.shadow("tanks", tanks[0], warm=False)
            case 40:
                life.order(events.ShadowPromoted(tanks[0].manifest.version, reason="asked"), "tanks")
            case 50:
                life.link.refusing = "gaugecast/meters/north/m1"
            case 53:
                life.link.refusing = ""
            case 70:
                life.in_force("tanks", tanks[1], events.LEARNED, good=tanks[0])
            case 75:
                life.shadow("vats", vats[0], warm=True)
            case 90:
                life.order(events.ShadowPromoted(vats[0].manifest.version, reason="asked"), "vats")
            case 100:
                life.shadow("tanks", tanks[2], warm=True)
            case 105:
                life.link.lose_session()
                life.link.coming.extend(self._plant.again(life.link.epoch))  # packet ids that mean nothing now
            case 120:
                version, good = tanks[2].manifest.version, tanks[1].manifest.version
                life.order(events.ShadowPromoted(version, reason="beat what is in force", good=good), "tanks")
            case 130:
                self._restart()
            case 140:
                self._clock.set_wall(40.0)
            case 150:
                life.in_force("tanks", tanks[1], events.ROLLBACK, good=tanks[1])
            case 160:
                life.order(events.StreamsReset(), "meters", "north/m2")
            case 180:
                life.in_force("tanks", tanks[3], events.LEARNED, good=tanks[1])
            case 190:
                life.order(events.StreamsReset(), "vats")
            case 200:
                life.shadow("vats", vats[1], warm=False)
            case 225:
                life.link.mute = True

    def _restart(self) -> None:
        """`kill -9` between a commit and its acks; the next process has the final configuration."""
        self._life.kill()
        self._clock.advance(0.02)
        link = ScriptLink(self._clock, epoch=self._life.link.epoch + 1, session_present=True)
        link.coming.extend(self._plant.again(link.epoch))
        self._life = Life(self._settings, self._fleets, link, self._clock)


def _pack(directory: Path, target: Path) -> None:
    """The directory as a compressed archive that is the same for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(directory.rglob("*")):
            member = archive.gettarinfo(path, str(path.relative_to(directory)))
            member.mtime, member.uid, member.gid, member.uname, member.gname = BEGIN_NS // 10**9, 0, 0, "", ""
            member.mode = 0o755 if path.is_dir() else 0o644
            with path.open("rb") if path.is_file() else io.BytesIO() as content:
                archive.addfile(member, content)
    target.write_bytes(lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def main(target: Path) -> None:
    """Write `state.tar.xz`, `bodies.tsv.xz` and `fingerprint` beside the configuration in `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        state = Path(scratch) / "state"
        filled = (target / "gaugecast.toml").read_text()
        known = {"HOST": "localhost", "PORT": "1883", "DIRECTORY": str(state), "HTTP_PORT": "0"}
        for name, value in known.items():
            filled = filled.replace(f"@{name}@", value)
        config = Path(scratch) / "gaugecast.toml"
        config.write_text(filled)
        state.mkdir()
        story = Story(load_settings(config, {}))
        story.run()
        _pack(state, target / "state.tar.xz")
    (target / "bodies.tsv.xz").write_bytes(lzma.compress(b"".join(story.lines), preset=9 | lzma.PRESET_EXTREME))
    (target / "fingerprint").write_text(fingerprint() + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
