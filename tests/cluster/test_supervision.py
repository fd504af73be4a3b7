"""Who watches the parts of a cluster and answers for them, beside a Ray that is played: who hangs, who is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)

from ray.exceptions import GetTimeoutError, RayTaskError

from gaugecast import control
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray import controller, learning, parts, spares, start
from gaugecast.cluster.ray.controller import Controller
from gaugecast.cluster.ray.front import Front
from gaugecast.cluster.ray.learning import RayPupils
from gaugecast.cluster.ray.parts import PartStatus, first_line
from gaugecast.cluster.ray.spares import Spares
from gaugecast.config.schema import Settings
from gaugecast.errors import CommandRefused, Unreachable


@dataclass(eq=False)
class Question:
    """On its way; an answer that is an exception is raised."""

    method: str
    answer: Any = None
    answered: bool = False


class Process:
    """Keeps what it is asked; answers at once what it `says`, by method."""

    def __init__(self, **says: Any) -> None:
        self.says, self.asked = says, list[Question]()

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *_: self._hear(method))

    def _hear(self, method: str) -> Question:
        self.asked.append(Question(method, self.says.get(method), method in self.says))
        return self.asked[-1]


@dataclass
class Ray:
    """What the code here needs of the module."""

    node_ids: list[str] = field(default_factory=lambda: ["n1"])
    named: Process = field(default_factory=Process)
    waited_s: list[float] = field(default_factory=list)
    killed: list[Process] = field(default_factory=list)

    def nodes(self) -> list[dict[str, Any]]:
        """All alive."""
        return [{"NodeID": name, "Alive": True} for name in self.node_ids]

    def get_actor(self, _name: str, **_: Any) -> Process:
        """The controller."""
        return self.named

    def wait(
        self, asked: Sequence[Question], *, timeout: float, num_returns: int = 1
    ) -> tuple[list[Question], list[Question]]:
        """Time passes in no test."""
        self.waited_s.append(timeout)
        ready = [one for one in asked if one.answered]
        return ready[: max(1, num_returns)], [one for one in asked if not one.answered]

    def get(self, one: Question, *, timeout: float = 0.0) -> Any:
        """As Ray does."""
        if not one.answered:
            raise GetTimeoutError(f"no answer within {timeout} s")
        if isinstance(one.answer, Exception):
            raise one.answer
        return one.answer

    def kill(self, process: Process) -> None:
        """At once."""
        self.killed.append(process)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    """In the place of the module."""
    played = Ray()
    for module in (controller, learning, parts, spares, start):
        monkeypatch.setattr(module, "ray", played)
    monkeypatch.setattr(controller, "configure", lambda *_: None)
    return played


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds pass for spares."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(spares, "time", SimpleNamespace(monotonic=lambda: clock.now_s))

    def pass_s(seconds: float) -> None:
        clock.now_s += seconds

    return pass_s


def plan_of(directory: Path, partitions: int = 3) -> Plan:
    """One ingest, no learner."""
    table = {"subscribe": ["a/{t}"], "period": "1s", "features": {"p": {}}}
    told = {"fleet": {"tanks": table}, "storage": {"directory": directory}, "learning": {"mode": "off"}}
    return Plan.of([Settings.model_validate(told).read_from("one.toml")], partitions)


def test_a_spare_that_hangs_takes_no_place(ray: Ray, later: Callable[[float], None]) -> None:
    """A warm one has as long as a part; one that begins as long as a beginning takes."""
    made = [Process(), Process(), Process()]
    several = Spares(_maker(made))
    several.look(["n1"], 1)
    later(50.0)
    several.look(["n1"], 1)
    assert [one.pid for one in several.all()] == [0], "expected a slow beginning to be waited for"
    made[0].asked[0].answer, made[0].asked[0].answered = ("n1", 7), True
    several.look(["n1"], 1)
    later(3.0)
    several.look(["n1"], 1)
    assert [one.pid for one in several.all()] == [7]
    later(2.0)
    several.look(["n1"], 1)
    assert ray.killed == made[:1]
    later(61.0)
    several.look(["n1"], 1)
    assert ray.killed == made[:2]
    assert several.take("n1") is made[2]


def _maker(made: Sequence[Process]) -> Callable[[str], Process]:
    processes: Iterator[Process] = iter(made)
    return lambda _node: next(processes)


def test_silent_parts_are_waited_for_at_once(ray: Ray, tmp_path: Path) -> None:
    """However many they are; those that answered are told."""
    one = Controller(plan_of(tmp_path))
    for part in one._parts[1:]:
        part.handle = Process()
    one._partitions[2].handle = Process(status=b"{}", metrics="g_a 1.0\n")
    told = msgspec.json.decode(one.status(), type=list[PartStatus])
    assert {part.name: part.told for part in told} == {
        "partition-0": None, "partition-1": None, "partition-2": {}, "ingest-0": None,
    }  # fmt: skip
    assert one.metrics() == 'g_a{partition="2"} 1.0\n'
    assert len(ray.waited_s) == 2


def test_the_last_node_cannot_be_drained(ray: Ray, tmp_path: Path) -> None:
    """Its parts would look for a place for ever; nothing has changed then."""
    one = Controller(plan_of(tmp_path))
    with pytest.raises(CommandRefused, match="another node expected"):
        one.drain("n1")
    ray.node_ids.append("n2")
    assert one.drain("n1") == []
    with pytest.raises(CommandRefused, match="another node expected"):
        one.drain("n2")


@pytest.mark.parametrize("ask", [start.ask_status, start.stop, start._metrics, lambda: start.drain("n1")])
def test_a_controller_that_does_not_answer_is_said_not_to(ray: Ray, ask: Callable[[], object]) -> None:
    """In words, not by a traceback; what it refuses is said as it says it."""
    with pytest.raises(Unreachable, match="the controller of the cluster does not answer: no answer within"):
        ask()
    refusal = RayTaskError("f", "a traceback", CommandRefused("not now")).as_instanceof_cause()
    ray.named = Process(**dict.fromkeys(("status", "ask_stop", "metrics", "drain"), refusal))
    with pytest.raises(CommandRefused, match=r"^not now$"):
        ask()


def test_without_a_controller_the_cluster_is_not_ready(ray: Ray) -> None:
    """And the reason is told, for a load balancer and for people."""
    assert not start._readiness().ok
    assert ray.named.asked[0].method == "status"


def test_a_partition_that_is_slow_is_not_asked_twice_by_a_learner(ray: Ray) -> None:
    """Its threads are for ingests; another process in its place hears the next report."""
    slow, well = Process(), Process(ask={})
    pupils = RayPupils([slow, well])
    for _ in range(3):
        pupils.tell({"command": "learner"})
    assert [len(one.asked) for one in (slow, well)] == [1, 3]
    slow.asked[0].answered = True
    pupils.tell({"command": "learner"})
    assert len(slow.asked) == 2
    successor = Process()
    pupils.retarget(0, successor)
    pupils.tell({"command": "learner"})
    assert [len(one.asked) for one in (slow, successor)] == [2, 1]
    assert not ray.killed


def test_a_defect_costs_one_answer_not_all(tmp_path: Path) -> None:
    """Whoever asked is told, and whoever asks next is answered."""

    def handles() -> list[Any]:
        raise ValueError("odd")

    front = Front(plan_of(tmp_path), handles=handles, parts=list)
    try:
        path = tmp_path / control.SOCKET_NAME
        with pytest.raises(CommandRefused, match="a defect of the cluster: ValueError: odd"):
            control.call(path, control.ModelsQuery())
        assert "recovered" in control.call(path, control.StatusQuery())
    finally:
        front.close()


def test_of_an_exception_one_line_is_told() -> None:
    """Even of one that says nothing."""
    assert first_line(TimeoutError()) == "TimeoutError"
    assert first_line(ValueError("a\nb")) == "a"
