"""The control socket: commands of a caller in another thread, answered by a loop that only polls."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import resource
import select
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.control import (
    Command,
    Control,
    HandOver,
    LearnerReport,
    ModelsQuery,
    Promote,
    Request,
    Reset,
    RollBack,
    StatusQuery,
    StreamRow,
    StreamsAnswer,
    StreamsQuery,
    call,
    server,
)
from gaugecast.control.client import address_of
from gaugecast.control.requests import decode_request, name_of
from gaugecast.errors import AlreadyRunning, CommandRefused, ConfigError, Unreachable
from gaugecast.status import LearnerStatus, Status

COMMANDS = [
    StatusQuery(),
    StreamsQuery(fleet="tanks", match="a*", limit=3),
    Reset(fleet="tanks", stream="a"),
    HandOver(fleet="tanks", version="ab12"),
    Promote(fleet="tanks"),
    RollBack(fleet="tanks"),
    ModelsQuery(),
    LearnerReport(fleet="tanks", updates_total=3, lag_s=0.5),
]


@pytest.fixture(params=["short", "long"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A socket's path, once within the 107 bytes of `sun_path` and once far beyond."""
    directory = tmp_path if request.param == "short" else tmp_path / ("d" * 120)
    directory.mkdir(exist_ok=True)
    return directory / "control.sock"


@pytest.fixture
def control(path: Path) -> Iterator[Control]:
    """A listening control socket."""
    with contextlib.closing(Control(path)) as listening:
        yield listening


def next_commands(control: Control, deadline_s: float = 10.0) -> list[Command]:
    """Poll until there is a command, as the loop does."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        select.select([control._epoll], [], [], 0.05)
        if commands := control.poll():
            return commands
    raise AssertionError("no command came")


def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Ask again until it holds."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end


class Caller(threading.Thread):
    """Calls as the command line does, beside the test that plays the loop."""

    def __init__(self, path: Path, request: msgspec.Struct | Mapping[str, Any], timeout_s: float = 10.0) -> None:
        super().__init__(daemon=True)
        self._arguments = (path, request, timeout_s)
        self._outcome: dict[str, Any] | Exception = AssertionError("never ran")
        self.start()

    def run(self) -> None:
        try:
            self._outcome = call(*self._arguments)
        except Exception as exc:
            self._outcome = exc

    def result(self, control: Control) -> dict[str, Any]:
        """The answer, while the loop goes on polling."""
        until(lambda: (control.poll(), not self.is_alive())[1])
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def connect(path: Path) -> socket.socket:
    """A client that speaks by hand."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with address_of(path) as address:
        peer.connect(address)
    peer.settimeout(0.05)
    return peer


def read_line(peer: socket.socket, control: Control) -> dict[str, Any]:
    """One answer, while the loop goes on polling; {} at the end of the stream."""
    line = b""
    end = time.monotonic() + 10
    while not line.endswith(b"\n"):
        assert time.monotonic() < end
        control.poll()
        with contextlib.suppress(TimeoutError):
            chunk = peer.recv(1 << 20)
            if not chunk:
                return {}
            line += chunk
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_a_command_is_answered(control: Control, path: Path) -> None:
    """What is asked arrives with its keys, what is answered arrives without the envelope."""
    caller = Caller(path, {"command": "reset", "fleet": "tanks", "stream": "hall/tank-1"})
    [command] = next_commands(control)
    assert command.name == "reset"
    assert command.request == Reset(fleet="tanks", stream="hall/tank-1")
    command.answer({"done": 1})
    assert caller.result(control) == {"done": 1}


def test_a_refusal_is_an_error_of_its_own(control: Control, path: Path) -> None:
    """The daemon's reason reaches the caller as CommandRefused."""
    caller = Caller(path, RollBack(fleet="tanks"))
    next_commands(control)[0].refuse("expected a stream")
    with pytest.raises(CommandRefused, match=r"^expected a stream$"):
        caller.result(control)


def test_what_is_not_a_number_becomes_null(control: Control, path: Path) -> None:
    """NaN in an answer is JSON's null, so that every client can read it."""
    caller = Caller(path, {"command": "streams"})
    row = StreamRow(fleet="tanks", stream="a", feature="p", observed=math.nan, skill=math.inf)
    next_commands(control)[0].answer(StreamsAnswer(rows=[row], total=1, status=Status()))
    answer = msgspec.convert(caller.result(control), StreamsAnswer)
    assert (answer.rows[0].observed, answer.rows[0].skill) == (None, None)


def test_an_answer_larger_than_the_socket_takes_at_once_arrives_whole(control: Control, path: Path) -> None:
    """Ten megabytes go out poll by poll; the loop never waits for the reader."""
    caller = Caller(path, {"command": "streams"})
    [command] = next_commands(control)
    begun = time.monotonic()
    command.answer({"text": "x" * 10_000_000})
    assert time.monotonic() - begun < 1
    assert len(caller.result(control)["text"]) == 10_000_000


def test_a_command_has_one_answer(control: Control, path: Path) -> None:
    """A second answer is a defect, not a second line."""
    caller = Caller(path, {"command": "status"})
    [command] = next_commands(control)
    command.answer()
    with pytest.raises(ValueError, match="expected one answer to 'status'"):
        command.refuse("no")
    assert caller.result(control) == {}


def test_a_caller_that_left_harms_nobody(control: Control, path: Path) -> None:
    """The answer to a client that is gone is dropped, and the next client is served."""
    with connect(path) as peer:
        peer.sendall(b'{"command": "status"}\n')
        [command] = next_commands(control)
    command.answer({"text": "x" * 100_000})
    until(lambda: (control.poll(), not control._clients)[1])
    caller = Caller(path, {"command": "status"})
    next_commands(control)[0].answer({"n": 2})
    assert caller.result(control) == {"n": 2}


def test_a_caller_that_only_closed_its_sending_end_gets_its_answer(control: Control, path: Path) -> None:
    """`echo … | nc -NU` half-closes before the answer is there; the poll does not spin meanwhile."""
    with connect(path) as peer:
        peer.sendall(b'{"command": "status"}\n')
        peer.shutdown(socket.SHUT_WR)
        [command] = next_commands(control)
        control.poll()
        assert select.select([control._epoll], [], [], 0)[0] == []
        command.answer({"n": 1})
        assert read_line(peer, control) == {"ok": True, "n": 1}
    until(lambda: (control.poll(), not control._clients)[1])


def test_two_lines_in_one_packet_are_two_commands(control: Control, path: Path) -> None:
    """Framing is by line, not by packet; answers come in the order in which they are given."""
    with connect(path) as peer:
        peer.sendall(b'{"command": "status"}\n{"command": "models"}\n{"comm')
        commands = next_commands(control)
        peer.sendall(b'and": "streams"}\n')
        commands += next_commands(control)
        assert [c.name for c in commands] == ["status", "models", "streams"]
        for command in commands:
            command.answer({"name": command.name})
        lines = peer.recv(1 << 20).splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["status", "models", "streams"]


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[1]\n", b"{}\n", b'{"command": 7}\n', b"\xff\xfe\n", b"\n", b"[" * 9000 + b"\n",
     b'{"command": "status", "x": ' + b"[" * 60_000 + b"\n", b'{"command": "status", "x": ' + b'{"a":' * 12_000 + b"\n",
     b'{"command": "\xff"}\n', b'{"command": "reset", "fleet": "\xff"}\n'],
)  # fmt: skip
def test_what_is_no_request_is_told_so(control: Control, path: Path, line: bytes) -> None:
    """Nonsense gets an error on its line and reaches nobody."""
    with connect(path) as peer:
        peer.sendall(line)
        answer = read_line(peer, control)
    assert answer["ok"] is False
    assert answer["error"].startswith("expected a")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"command": "reset"}', 'reset: expected a key "fleet" with a text, got none'),
        (b'{"command": "hand_over", "fleet": "tanks"}', 'hand_over: expected a key "version" with a text, got none'),
        (b'{"fleet": 7, "command": "promote"}', "promote: expected `str`, got `int` - at `$.fleet`"),
        (b'{"command": "hand_over", "fleet": "a", "version": "1", "role": "x"}', "hand_over: invalid enum value 'x'"),
        (b'{"command": "learner", "fleet": "a", "updates_total": 1' + b"0" * 30 + b"}", "learner: expected `int` <= "),
        (b'{"command": "roll_back", "fleet": "tanks"}', "got 'roll_back'; did you mean \"rollback\"?"),
        (
            b'{"command": "sing"}',
            "one of acknowledge, forget, forget_fleet, hand_over, learner, load_history, models, promote, refit, ",
        ),
    ],
)
def test_a_refusal_says_which_key_or_command_was_expected(control: Control, path: Path, line: bytes, said: str) -> None:
    """Whoever writes a request by hand learns from the answer what to write."""
    with connect(path) as peer:
        peer.sendall(line + b"\n")
        assert said in read_line(peer, control)["error"]


def test_keys_that_none_knows_are_ignored(control: Control, path: Path) -> None:
    """A newer client may say more than an older daemon knows."""
    caller = Caller(path, {"command": "learner", "fleet": "tanks", "rate": 0.5, "mood": ["good"]})
    [command] = next_commands(control)
    command.answer()
    assert command.request == LearnerReport(fleet="tanks", rate=0.5)
    assert caller.result(control) == {}


@pytest.mark.parametrize("request_", COMMANDS, ids=name_of)
def test_every_request_travels_as_its_type_says(request_: Request) -> None:
    """`Status` is `{"command": "status"}` on the wire and back, and so are the others."""
    assert decode_request(msgspec.json.encode(request_)) == request_
    assert msgspec.to_builtins(request_)["command"] == name_of(request_)


def test_a_learner_tells_what_the_metrics_know() -> None:
    """The command's keys are those of `LearnerStatus`, with the same defaults; the time left we reckon ourselves."""
    told = msgspec.structs.asdict(LearnerReport(fleet="tanks"))
    del told["fleet"]
    assert {**told, "eta_s": None} == msgspec.structs.asdict(LearnerStatus())


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["tanks", "shadow"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["fleet", "stream", "version", "role", "limit", "match", "rate", "updates_total", "x"])
NAMES = st.sampled_from([str(one.__struct_config__.tag) for one in COMMANDS]) | st.text(max_size=5)
REQUESTS = st.builds(lambda name, more: {"command": name, **more}, NAMES, st.dictionaries(KEYS, VALUES, max_size=5))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request, cut, with some bytes written over, or with a deep tail."""
    line = bytearray(json.dumps(draw(REQUESTS)).encode())
    for _ in range(draw(st.integers(0, 3))):
        line[draw(st.integers(0, len(line) - 1))] = draw(st.integers(0, 255))
    del line[draw(st.integers(1, len(line))) :]
    tail = draw(st.sampled_from([b"", b"[", b'{"a":', b'"\\ud800', b"9", b"-", b"\xff"]))
    return bytes(line) + tail * draw(st.sampled_from([1, 10_000]))


@settings(max_examples=40)
@given(st.binary(max_size=200) | damaged() | REQUESTS.map(lambda one: json.dumps(one).encode()))
def test_whatever_bytes_come_are_a_request_or_refused(line: bytes) -> None:
    """Nothing that a client sends raises anything else, and what is let through encodes again."""
    try:
        request = decode_request(line)
    except CommandRefused as refused:
        msgspec.json.encode(str(refused))
    else:
        assert decode_request(msgspec.json.encode(request)) == request


def test_a_request_without_end_is_cut(control: Control, path: Path) -> None:
    """What a client may make us keep is bounded."""
    with connect(path) as peer, contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
        control.poll()
        for _ in range(100):
            peer.sendall(b"x" * 10_000)
            control.poll()
    assert control._clients == {}


def test_clients_are_bounded_and_idle_ones_are_cut(tmp_path: Path) -> None:
    """The seventeenth client is turned away; who says nothing for long makes room."""
    now = [0.0]
    path = tmp_path / "c"
    with contextlib.closing(Control(path, clock=lambda: now[0])) as control, contextlib.ExitStack() as stack:
        for _ in range(server.MAX_CLIENTS + 1):
            last = stack.enter_context(connect(path))
            control.poll()
        assert len(control._clients) == server.MAX_CLIENTS
        assert last.recv(1) == b""
        now[0] = server.IDLE_S + 1
        control.poll()
        assert control._clients == {}


def test_a_client_that_waits_for_its_answer_is_not_idle(tmp_path: Path) -> None:
    """An answer may take minutes; once it is given, silence counts again."""
    now = [0.0]
    with contextlib.closing(Control(tmp_path / "c", clock=lambda: now[0])) as control, connect(tmp_path / "c") as peer:
        peer.sendall(b'{"command": "rollback", "fleet": "tanks"}\n')
        (command,) = next_commands(control)
        now[0] = 2 * server.IDLE_S
        control.poll()
        command.answer()
        control.poll()
        assert peer.recv(100) == b'{"ok":true}\n'
        now[0] += server.IDLE_S + 1
        control.poll()
        assert control._clients == {}


@pytest.mark.parametrize("what", ["register", "trust"])
def test_a_client_that_cannot_be_taken_on_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The kernel has no room to watch it, or it is gone before it is asked who it is: the loop goes on."""

    class FullEpoll:
        def register(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def gone(_connection: socket.socket) -> bool:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    with contextlib.closing(Control(tmp_path / "c")) as control, connect(tmp_path / "c") as peer:
        with monkeypatch.context() as patched:
            if what == "trust":
                patched.setattr(server, "_is_trusted", gone)
            else:
                patched.setattr(control, "_epoll", FullEpoll())
            control._accept()
        assert peer.recv(1) == b""
        assert control._clients == {}
        caller = Caller(tmp_path / "c", StatusQuery())
        next_commands(control)[0].answer()
        assert caller.result(control) == {}


def test_without_descriptors_the_loop_goes_on(tmp_path: Path) -> None:
    """EMFILE: who waits is served once there are some again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.closing(Control(tmp_path / "c")) as control, connect(tmp_path / "c") as peer:
        resource.setrlimit(resource.RLIMIT_NOFILE, (peer.fileno(), hard))
        try:
            assert control.poll() == []
            assert control._clients == {}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        control.poll()
        assert len(control._clients) == 1


def test_a_refusal_may_quote_what_is_no_text(control: Control, path: Path) -> None:
    """A folder's name need not be UTF-8; the refusal must not end the loop."""
    caller = Caller(path, ModelsQuery())
    next_commands(control)[0].refuse("expected weights in " + os.fsdecode(b"/var/\xff"))
    with pytest.raises(CommandRefused, match="expected weights in /var/"):
        caller.result(control)


def test_the_socket_is_for_its_owner_only(control: Control, path: Path) -> None:
    """Mode 0600 from the first moment, whatever the umask says."""
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_another_user_is_not_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's word on the peer's user id counts; root and ourselves pass."""
    path = tmp_path / "c"
    peer_uid = os.geteuid()
    with contextlib.closing(Control(path)) as control:
        monkeypatch.setattr(server, "_TRUSTED", frozenset({peer_uid + 1}))
        with connect(path) as peer:
            assert read_line(peer, control) == {}


def test_a_second_daemon_is_refused_and_the_first_undisturbed(control: Control, path: Path) -> None:
    """A socket that answers is not taken over."""
    with pytest.raises(AlreadyRunning, match="another gaugecast answers"):
        Control(path)
    caller = Caller(path, {"command": "status"})
    next_commands(control)[0].answer({"n": 1})
    assert caller.result(control) == {"n": 1}


def test_a_stale_socket_is_replaced(path: Path) -> None:
    """After kill -9 the file is still there; the next start takes its place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead, address_of(path) as address:
        dead.bind(address)
    with contextlib.closing(Control(path)) as control:
        caller = Caller(path, {"command": "status"})
        next_commands(control)[0].answer()
        assert caller.result(control) == {}
    assert not path.exists()


def test_a_file_in_the_sockets_place_is_not_removed(path: Path) -> None:
    """What is not a socket is not ours to delete."""
    path.write_text("precious")
    with pytest.raises(ConfigError, match="expected a control socket or nothing"):
        Control(path)
    assert path.read_text() == "precious"


def test_close_leaves_the_socket_of_a_successor(path: Path) -> None:
    """A daemon that ends late does not remove the socket of the one that has replaced it."""
    first = Control(path)
    path.unlink()
    with contextlib.closing(Control(path)):
        first.close()
        assert path.exists()


def test_nobody_there_is_unreachable(path: Path) -> None:
    """No socket, and a socket that nobody serves in time, are told apart in the message."""
    with pytest.raises(Unreachable, match="expected a running gaugecast"):
        call(path, {"command": "status"}, 1.0)
    with contextlib.closing(Control(path)), pytest.raises(Unreachable, match=r"within 0\.05 s"):
        call(path, {"command": "status"}, 0.05)


def test_a_daemon_that_ends_in_between_is_unreachable(path: Path) -> None:
    """A connection cut before the answer is an error, not an empty answer."""
    control = Control(path)
    caller = Caller(path, {"command": "status"})
    next_commands(control)
    control.close()
    caller.join(10)
    assert isinstance(caller._outcome, Unreachable)
