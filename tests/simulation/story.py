"""One seed, one story: what happens by chance, what must hold after each event, and what must hold at the end."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

from gaugecast.ledger import LedgerReader, copying
from gaugecast.loop.clock import STEP_NS
from gaugecast.payloads import Decoder
from gaugecast.storage.backup import backup
from gaugecast.testing import Clock
from simulation.broker import WINDOW, Broker
from simulation.connections import TROUBLES
from simulation.ending import check_end
from simulation.fleets import LIMITS, SECOND, T0, Weights, fleets_of, has_states, is_watched
from simulation.journal import Journal
from simulation.life import CRAMPED, Life
from simulation.orders import bring_a_newcomer, forget_fleet, obey, reload_fleets
from simulation.points import ALL_POINTS, Crash, Points, Violation
from simulation.sensors import Sensors

_HOUR_S, _YEAR_S = 3600.0, 31_536_000.0
#: By how much the wall clock is set.
_CLOCK_STEPS_S = (40.0, -40.0, _HOUR_S, -_HOUR_S, _YEAR_S, -_YEAR_S, 100 * _YEAR_S, -100 * _YEAR_S)
#: Rounds in which streams that are watched for anomalies all speak.
_USUAL = 12
#: Actions in a story before everything heals.
ACTIONS = 90


class Story:
    """A world that one seed makes. `run` raises `Violation` where an invariant breaks.

    Args:
        directory: Empty.
        crash_points: Instead of at points by chance, crash at these, one after the other.

    Attributes:
        clock_known: No process began under a clock that was set while nobody ran: that looks as time that passed.
    """

    def __init__(self, seed: int, directory: Path, *, actions: int = ACTIONS, crash_points: Sequence[str] = ()) -> None:
        self.rng, self._watched = Random(seed), is_watched(seed)
        self.directory, self._actions = directory, actions
        self._script, self._by_chance = list(crash_points), not crash_points
        self.points = Points()
        self.clock = Clock(T0 + 60 * SECOND)
        self.journal = Journal()
        self.journal.decoder = Decoder(fleets_of(seed), LIMITS)
        reuse = self.rng.random() < 0.4
        self.broker = Broker(self.rng, self.journal, reuse_ids=reuse)
        self.sensors = Sensors(self.rng, self.broker, bare=not reuse, states=has_states(seed))
        self.weights = Weights()
        self.limits = CRAMPED if self.rng.random() < 0.15 else LIMITS
        self.fleets = fleets_of(seed)
        self.lives = 0
        self.clock_known = True
        self._confirmed_checked = 0
        self.life = self._begin()

    # -- chance

    def run(self) -> None:
        """Live the story, then let everything heal, and look at what remains."""
        for _ in range(6):  # a session before the first sensor speaks
            self.turn()
        for _ in range(_USUAL if self._watched else 0):  # until it is known what is usual
            self.sensors.speak_in_turn()
            self.turn()
        for _ in range(self._actions):
            self._act()
        self._heal()
        self._check_end()

    def _act(self) -> None:
        draw, rng = self.rng.random(), self.rng
        if draw < 0.35:
            for _ in range(rng.randint(1, 8)):
                self.sensors.speak()
        elif draw < 0.865:
            for _ in range(rng.randint(1, 4)):
                self.turn()
        elif draw < 0.88:
            rng.choice((self._stay_away, self._leave_and_return))()
        elif draw < 0.91:
            rng.choice((self.broker.cut, self.broker.cut_subscriber, self.broker.cut_publisher))()
        elif draw < 0.92:
            self.broker.lose_session()
        elif draw < 0.935:
            self.clock.advance(rng.choice((0.3, 2.5, 12.0, 25.0)))
        elif draw < 0.945:
            self._set_clock()
        elif draw < 0.97 and self._by_chance:
            self.points.arm(rng.choice(ALL_POINTS), rng.randint(1, 4))
        else:
            self._odd()

    def _set_clock(self) -> None:
        """The machine's clock is wrong, mostly for a few rounds only, in which the process may die."""
        step_s = self.rng.choice(_CLOCK_STEPS_S)
        self.clock.set_wall(step_s)
        if self.rng.random() < 0.7:
            for _ in range(self.rng.randint(1, 4)):
                self.turn()
            self.clock.set_right()

    def _stay_away(self) -> None:
        """So long that streams are parked, and perhaps let go of."""
        for _ in range(3):
            self.clock.advance(20.0)
            self.sensors.speak()
            for _ in range(3):
                self.turn()
            self._guarded(self.life.core.look_after)

    def _leave_and_return(self) -> None:
        """A fleet is taken out of the configuration, and comes back; some of its streams may be parked.

        Now and then somebody says meanwhile that it is gone for good.
        """
        leaving = self.rng.choice(("means", "sequenced"))
        before = self.fleets
        for fleets in (tuple(f for f in before if f.name != leaving), before):
            self.fleets = fleets
            self.life.reconfigure(fleets)
            for _ in range(self.rng.randint(1, 4)):
                self.turn()
                self.sensors.speak()
            if fleets is not before and len(self.broker.sent) % 2:
                forget_fleet(self.life.core, leaving)

    def _odd(self) -> None:
        rng = self.rng
        choice = rng.randrange(14)
        if choice == 0:
            self.points.full = rng.randint(1, 5)
        elif choice == 1:
            self.points.busy = rng.randint(1, 3)
        elif choice == 2:
            self.points.checkpoint_fails = not self.points.checkpoint_fails
        elif choice == 3:
            self.broker.denied ^= {"gaugecast/joined/a"}
        elif choice in (4, 5, 6):
            obey(self.life.core, rng, self.weights, self.journal)
        elif choice == 7:
            self._reload()
        elif choice == 8:
            self._guarded(self._restart)
        elif choice == 9:
            self._restore()
        else:
            TROUBLES[choice - 10](self)

    # -- lives

    def _begin(self) -> Life:
        self.lives += 1
        if self.journal.unexplained_ns(self.clock) > STEP_NS:
            self.journal.spoke_at_ns.clear()
            self.clock_known = False
        return Life(
            self.directory, self.fleets, broker=self.broker, clock=self.clock, points=self.points,
            journal=self.journal, rng=self.rng, weights=self.weights, limits=self.limits,
        )  # fmt: skip

    def turn(self) -> None:
        if self._script and not self.points.armed:
            self.points.arm(self._script.pop(0), self.rng.randint(1, 2))
        self._guarded(self.life.turn)
        if self.rng.random() < (0.05 if self._by_chance else 0.3):
            self._guarded(self.life.core.look_after)
        self._check_confirmed()

    def _guarded(self, work: object) -> None:
        """Do something that may end in a crash; then the next life begins."""
        assert callable(work)
        try:
            work()
        except Crash:
            self._crash()
        except Violation:
            raise
        except Exception as exc:
            raise Violation(f"the process ends by itself: {exc!r}") from exc

    def _crash(self) -> None:
        self.life.kill()
        # Besides what the cut may do: what was heard since the last commit, or told to the process and not noted by it.
        self.broker.copies_allowed += self.journal.heard_since_commit + WINDOW
        self.broker.cut()
        self.clock.advance(self.rng.choice((0.05, 1.0, 10.0)))
        self.life = self._begin()

    def _restart(self) -> None:
        """SIGTERM and start, perhaps with another configuration."""
        holding = self.life.core.loop.holding
        self.life.shutdown()
        if holding or self.life.core.loop.holding:  # no room to note what was heard
            self.broker.copies_allowed += self.journal.heard_since_commit + WINDOW
        self.broker.cut()
        if self.rng.random() < 0.5:
            self.fleets = reload_fleets(self.fleets, self.rng)
        self.life = self._begin()

    def _reload(self) -> None:
        """SIGHUP with another configuration, often behind what a newcomer remembers."""
        if self.rng.random() < 0.6:
            bring_a_newcomer(self.life.core, self.rng, self.weights, self.journal)
        self.fleets = reload_fleets(self.fleets, self.rng)
        self.life.reconfigure(self.fleets)

    def _restore(self) -> None:
        """Take a backup, or put the last one in place of everything, as `docs/operations.md` says."""
        backup_at = self.directory.parent / (self.directory.name + ".backup")
        if not backup_at.exists():
            self._guarded(lambda: backup(self.directory, backup_at, copying))
            return
        self.life.kill()
        self.broker.cut()
        shutil.rmtree(self.directory)
        shutil.move(backup_at, self.directory)
        with LedgerReader(self.directory) as ledger:
            self.journal.go_back(ledger)
        self.broker.note_restore(self.journal.confirmed)
        self.clock_known &= self.clock.is_right  # the steps that were taken since are not in it
        self._confirmed_checked = 0
        self.life = self._begin()

    def _heal(self) -> None:
        """No more faults: everything that was sent and not lost must come through."""
        self._script.clear()
        self.points.heal()
        self.clock.set_right()
        self.broker.heal()
        for _ in range(3):
            for _ in range(400):
                self.turn()
                if self._quiet():
                    break
            else:
                raise Violation("I3: the loop does not come to rest although nothing is wrong any more")
            self.clock.advance(700.0)  # refused outputs are tried again by then
            self.turn()
            self.turn()

    def _quiet(self) -> bool:
        loop = self.life.core.loop
        nothing_refused = not self.life.ledger.refused_outputs(0, 1)
        publisher = loop.publisher
        if not nothing_refused:
            self.clock.advance(30.0)
        return (
            self.broker.idle and not loop.holding and not publisher.lag and not publisher.unsettled and nothing_refused
        )

    # -- what must hold

    def _check_confirmed(self) -> None:
        """I3: what the ledger calls confirmed was heard, or is kept among the refused."""
        while self._confirmed_checked < self.journal.confirmed:
            kept = self.journal.outputs[self._confirmed_checked]
            heard = kept.name in self.broker.heard
            if not heard and not self.broker.was_denied(kept.fleet, kept.stream):
                raise Violation(f"I3: position {kept.position} is called confirmed and was never heard")
            self._confirmed_checked += 1

    def _check_end(self) -> None:
        for sent in self.broker.sent:
            if not sent.lost and not all(self.journal.has(sent.topic, sent.payload)):
                raise Violation(f"I1: message {sent.serial} on {sent.topic} was not lost and is not durable")
        for kept in self.journal.outputs:
            if self.broker.heard.get(kept.name) != kept.body:
                raise Violation(f"I3: {kept.name} was never heard")
        self.journal.events.check_retained(self.broker.retained)
        check_end(self)


def run(seed: int, directory: Path, *, actions: int = ACTIONS, crash_points: Sequence[str] = ()) -> Story:
    """Live one story in an empty directory.

    Raises:
        Violation: An invariant broke; the seed tells the story again.
    """
    story = Story(seed, directory, actions=actions, crash_points=crash_points)
    try:
        story.run()
    finally:
        story.life.kill()
    return story
