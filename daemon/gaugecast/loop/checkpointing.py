"""When a checkpoint is taken, and how its slices go to the writer without stalling the loop."""

from __future__ import annotations

from gaugecast.config.schema import Storage
from gaugecast.loop.ports import Writer
from gaugecast.loop.replay_cost import Replay, ReplayCost
from gaugecast.pipeline import Pipeline, state
from gaugecast.storage.checkpoint_format import Chunk
from gaugecast.streams.snapshot import Snapshot

#: A checkpoint may not take more than this share of the time.
_SHARE = 0.1
#: Copying goes at about so many bytes a second on slow memory; slices are sized by it.
_BYTES_PER_S = 1.5e9


class Checkpointer:
    """Owned by the loop's thread; calls stand between two batches, after a commit.

    Attributes:
        cost: Told of each round; says what a replay would cost.
    """

    def __init__(self, pipeline: Pipeline, writer: Writer, storage: Storage, *, now_s: float) -> None:
        self._pipeline, self._writer, self._storage = pipeline, writer, storage
        self.slice_bytes = max(65_536, int(storage.pause_budget_ms / 1e3 * _BYTES_PER_S))
        self._waiting: list[Chunk] = []
        self._taking = False
        self._snapshot: Snapshot | None = None  # None while taking: the last slice was copied
        self._began_s = self._ended_s = now_s
        self._took_s = 0.0
        self.cost = ReplayCost()
        self._covered = Replay()  # by the one that is being taken

    def turn(self, seq: int, now_s: float) -> None:
        """Begin a checkpoint at `seq` if one is due, or bring the one under way forward by a slice."""
        if not self._taking:
            if not self._writer.busy and self._due(now_s):
                self._begin(seq, now_s)
            return
        if self._pipeline.snapshot is not self._snapshot:
            self.give_up()  # an event changed the shape of the columns: what was copied is worth nothing
            return
        if not self._waiting:
            self._waiting = [Chunk(*piece) for piece in state.take_slices(self._pipeline, self.slice_bytes)]
            self._snapshot = self._pipeline.snapshot
        while self._waiting and self._writer.put(self._waiting[0]):
            self._waiting.pop(0)
        if self._snapshot is None and not self._waiting:
            self._writer.finish()
            self._taking, self._ended_s, self._took_s = False, now_s, now_s - self._began_s

    def give_up(self) -> None:
        """Give up the one that is being taken, if any; the writer is busy until it has taken its file away."""
        if self._taking:
            self._writer.abandon()
            self._taking = False
            self.cost.give_back(self._covered)

    def take_whole(self, seq: int, now_s: float) -> None:
        """Take one from beginning to end, at SIGTERM, with a writer that is not busy; the caller waits for it after."""
        self.give_up()
        self._begin(seq, now_s)
        while self._taking:
            self.turn(seq, now_s)

    def _begin(self, seq: int, now_s: float) -> None:
        header, names = state.begin_snapshot(self._pipeline)
        self._writer.begin(seq, header)
        self._snapshot = self._pipeline.snapshot
        self._waiting = [Chunk(*piece) for piece in names]
        self._taking, self._began_s = True, now_s
        self._covered = self.cost.take()

    def _due(self, now_s: float) -> bool:
        if now_s - self._ended_s < self._took_s / _SHARE:
            return False
        dear = self.cost.seconds >= self._storage.checkpoint_replay_s
        old = now_s - self._began_s >= self._storage.checkpoint_every_s
        return dear or (old and self.cost.pending.inputs > 0)
