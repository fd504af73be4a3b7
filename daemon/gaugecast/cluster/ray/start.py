"""Begin, ask and end a cluster: what `gaugecast cluster` does."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray.controller import NAME, NAMESPACE, Controller
from gaugecast.cluster.ray.front import Front
from gaugecast.cluster.ray.parts import PartStatus, first_line
from gaugecast.errors import AddressTaken, ConfigError, GaugecastError, Unreachable
from gaugecast.logs import get
from gaugecast.service.children import console_child
from gaugecast.web import Health, Web

LOCAL = "local"
_ASK_S, _STOP_S, _LOOK_S, _PAUSE_S = 10.0, 90.0, 1.0, 0.2

log = get("gaugecast.cluster")


def connect(address: str, *, heard: bool = False) -> None:
    """Join a Ray cluster, or begin one on this machine.

    Args:
        heard: What its processes log is printed here, too.

    Raises:
        ConfigError: It spans machines and lets everybody in.
        Unreachable: There is none.
    """
    how = {"namespace": NAMESPACE, "log_to_driver": heard, "logging_level": logging.WARNING}
    try:
        if address == LOCAL:
            # Health checks as Ray has them: with the only node all is lost. Not nice: forecasts go first.
            ray.init(
                num_cpus=0, include_dashboard=False, _node_ip_address="127.0.0.1",
                _system_config={"worker_niceness": 0}, **how,
            )  # fmt: skip
        else:
            ray.init(address=address, **how)
    except (ConnectionError, RuntimeError, ValueError) as exc:
        raise Unreachable(
            f"--address: no Ray cluster at {address!r}: {first_line(exc)}; `gaugecast cluster run` begins one"
        ) from exc
    check_guarded([node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]], os.environ)


def check_guarded(addresses: Sequence[str], environ: Mapping[str, str]) -> None:
    """Beyond this machine whoever reaches Ray's ports could run code there, so a token is asked for.

    Raises:
        ConfigError: It is not.
    """
    beyond = [address for address in addresses if not _is_loopback(address)]
    if beyond and environ.get("RAY_AUTH_MODE") != "token":
        raise ConfigError(
            f"cluster: the nodes {', '.join(beyond)} can be reached by other machines; set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH for every node and for this command, or keep them on 127.0.0.1"
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def run(plan: Plan, address: str) -> None:
    """Begin all parts and serve their metrics, until SIGTERM or SIGINT.

    Raises:
        GaugecastError: It cannot begin; the message says why.
    """
    connect(address, heard=True)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    web = _open_web(plan)
    front = Front(plan, handles=_handles, parts=ask_status)
    console = console_child(plan.settings)
    controller = _begin(plan, stopping)
    try:
        if not stopping.is_set():
            names = {"partitions": plan.partitions, "ingests": len(plan.ingests), "metrics": web.port}
            log.info("cluster ready", **names, address=ray.get_runtime_context().gcs_address)
        while not stopping.wait(_LOOK_S):
            if console is not None:
                console.watch(time.monotonic())
            asked = _asked_to_stop(controller)
            if asked:
                break
            if asked is None:
                log.error("controller died; all begins anew")
                controller = _begin(plan, stopping)
    finally:
        if console is not None:
            console.close()
        front.close()
        web.close()
        _end(controller)
        ray.shutdown()


def _begin(plan: Plan, stopping: threading.Event) -> Any:
    """A controller beside us, in place of one that may be left: all parts go with it and begin anew."""
    _make_room()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    controller = ray.remote(Controller).options(
        name=NAME, namespace=NAMESPACE, num_cpus=0, max_concurrency=8, scheduling_strategy=here
    )
    made = controller.remote(plan)
    started = made.start.remote()
    while not (stopping.is_set() or ray.wait([started], timeout=_LOOK_S)[0]):
        pass
    if not stopping.is_set():
        ray.get(started)
    return made


def _make_room() -> None:
    until = time.monotonic() + _ASK_S
    while time.monotonic() < until:
        try:
            ray.kill(ray.get_actor(NAME, namespace=NAMESPACE))
        except ValueError:
            return
        time.sleep(_PAUSE_S)


def _asked_to_stop(controller: Any) -> bool | None:
    """Whether another command wants the end; `None` = the controller is gone."""
    try:
        return bool(ray.get(controller.asked_to_stop.remote(), timeout=_ASK_S))
    except GetTimeoutError:
        return False  # a busy machine is no dead one
    except RayError:
        return None


def _end(controller: Any) -> None:
    try:
        ray.get(controller.stop.remote(), timeout=_STOP_S)
    except RayError as exc:
        log.error("not all parts ended in order", why=first_line(exc))


def _open_web(plan: Plan) -> Web:
    http = plan.settings.http
    try:
        web = Web(
            http.host, http.port, metrics=lambda: _metrics().encode(), health=lambda: Health(True), readiness=_readiness
        )
    except OSError as exc:
        raise AddressTaken(f"[http] expected {http.host}:{http.port} to be free and ours, got: {exc}") from exc
    web.start()
    return web


def _metrics() -> str:
    return str(_ask("metrics"))


def _readiness() -> Health:
    try:
        parts = ask_status()
    except Unreachable as exc:
        return Health(False, str(exc))
    silent = [part.name for part in parts if part.told is None and not part.name.startswith("learner-")]
    return Health(not silent, f"no answer from {', '.join(silent)}")


# -- what other commands ask


def find_controller() -> Any:
    """The controller of the cluster that we are connected to.

    Raises:
        Unreachable: None runs there.
    """
    try:
        return ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError as exc:
        raise Unreachable("no cluster of gaugecast runs there; `gaugecast cluster run` begins one") from exc


def _ask(method: str, *words: Any, patience_s: float = _ASK_S) -> Any:
    """What the controller says.

    Raises:
        Unreachable: None runs there, or it does not answer.
        GaugecastError: It refuses.
    """
    try:
        return ray.get(getattr(find_controller(), method).remote(*words), timeout=patience_s)
    except RayError as exc:
        if isinstance(exc, RayTaskError) and isinstance(exc.cause, GaugecastError):
            raise exc.cause from exc
        raise Unreachable(f"the controller of the cluster does not answer: {first_line(exc)}") from exc


def ask_status() -> list[PartStatus]:
    """What each part says.

    Raises:
        Unreachable: No controller answers.
    """
    return msgspec.json.decode(_ask("status"), type=list[PartStatus])


def is_whole() -> bool:
    """Whether all parts are in place, and a process stands by wherever one should."""
    return bool(_ask("is_whole"))


def _handles() -> list[Any]:
    """The partitions' processes."""
    handles: list[Any] = _ask("partitions")
    return handles


def drain(node: str) -> list[str]:
    """Move all parts off a node, named by its id or the beginning of it; the names of those that were moved.

    Raises:
        ConfigError: No such node, or several.
        CommandRefused: No other node is left.
        Unreachable: No controller answers.
    """
    ids = [one["NodeID"] for one in ray.nodes() if one["Alive"]]
    found = [one for one in ids if one.startswith(node)]
    if len(found) != 1:
        raise ConfigError(f"cluster: expected one of the nodes {', '.join(ids)}, got {node!r}")
    moved: list[str] = _ask("drain", found[0], patience_s=_STOP_S)
    return moved


def stop() -> None:
    """Ask the cluster to end in order; `run` does so within a second or two."""
    _ask("ask_stop", patience_s=_STOP_S)
