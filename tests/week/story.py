"""What happens to the plant, when; and which alerts fire for it, from when to when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from week.plant import Plant

HOUR, DAY = 60, 24 * 60


class Firing(NamedTuple):
    """An alert that must fire from minute `begins` to minute `ends`, and may for `slack` minutes before and after."""

    alert: str
    begins: int
    ends: int
    slack: int = 3

    def must(self, minute: int) -> bool:
        """Whether it must fire."""
        return self.begins <= minute <= self.ends

    def may(self, minute: int) -> bool:
        """Whether it may."""
        return self.begins - self.slack <= minute <= self.ends + self.slack


@dataclass(frozen=True, slots=True)
class Story:
    """Minutes at which something happens.

    Attributes:
        taken_off, forgotten: A sensor is taken off the wall; some time later somebody lets the daemon know.
        broker: The broker restarts, and keeps its sessions.
        upgrade: The daemon ends, another version begins.
        restore, restored: The daemon is stopped, the newest backup put in place, and it runs again.
        full, room: Something fills the disk; somebody makes room.
        backups: So often one is made.
        ends: All is over.
    """

    taken_off: int
    forgotten: int
    broker: int
    upgrade: int
    restore: int
    restored: int
    full: int
    room: int
    backups: int
    ends: int

    def live(self, plant: Plant) -> None:
        """Minute by minute."""
        plant.start()
        while plant.now < self.ends:
            self._act(plant)
            plant.minute()

    def _act(self, plant: Plant) -> None:
        now = plant.now
        plant.broker.up = now != self.broker
        plant.disk.full = self.full <= now < self.room
        if now == self.taken_off:
            plant.speaking.pop()
        elif now == self.forgotten:
            plant.forget("tank")
        elif now in (self.upgrade, self.restore):
            plant.stop()
        elif now == self.upgrade + 1:
            plant.start()
        elif now == self.restored:
            plant.restore_newest()
            plant.start()
        elif now % self.backups == self.backups // 8 and plant.core is not None and not plant.disk.full:
            plant.back_up()

    def firing(self) -> tuple[Firing, ...]:
        """Which alerts fire. A restart of the broker or the daemon, within a minute or two, is worth none."""
        return (
            # Ten minutes to be stale, fifteen that the alert waits.
            Firing("GaugecastStreamsStale", self.taken_off + 27, self.forgotten - 1),
            Firing("GaugecastDown", self.restore + 3, self.restored - 1, slack=2),
            Firing("GaugecastHolding", self.full + 4, self.room - 1),
            Firing("GaugecastDegraded", self.full + 7, self.room - 1),
            Firing("GaugecastDiskLow", self.full + 7, self.room - 1),
        )

    def looked_at(self) -> Iterator[tuple[int, set[str]]]:
        """Minutes, and the alerts that fire then: all those of which it is certain, near what happens; else some."""
        firing = self.firing()
        for minute in range(1, self.ends):
            must = {one.alert for one in firing if one.must(minute)}
            near = any(-5 <= minute - at <= 60 for at in self._marks())
            if must == {one.alert for one in firing if one.may(minute)} and (near or minute % 10 == 0):
                yield minute, must

    def _marks(self) -> tuple[int, ...]:
        return (
            self.taken_off, self.forgotten, self.broker, self.upgrade, self.restore, self.restored, self.full, self.room
        )  # fmt: skip


#: The same in ten hours.
SHORT = Story(
    taken_off=1 * HOUR, forgotten=2 * HOUR + 30, broker=3 * HOUR + 30, upgrade=4 * HOUR + 30, restore=6 * HOUR,
    restored=6 * HOUR + 12, full=7 * HOUR + 30, room=8 * HOUR + 10, backups=2 * HOUR, ends=10 * HOUR,
)  # fmt: skip
WEEK = Story(
    taken_off=1 * DAY + 10 * HOUR, forgotten=1 * DAY + 16 * HOUR, broker=2 * DAY + 9 * HOUR,
    upgrade=3 * DAY + 14 * HOUR, restore=4 * DAY + 11 * HOUR, restored=4 * DAY + 11 * HOUR + 15,
    full=5 * DAY + 20 * HOUR, room=5 * DAY + 20 * HOUR + 50, backups=DAY, ends=7 * DAY,
)  # fmt: skip
