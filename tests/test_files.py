"""What a user names and is no regular file is refused before it is opened: a pipe would be waited for for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gaugecast.cli.sources import read_table
from gaugecast.config import load_settings
from gaugecast.config.schema import Mqtt, Tls
from gaugecast.config.training import Train
from gaugecast.errors import ConfigError, GaugecastError, ModelError, StorageError
from gaugecast.files import regular
from gaugecast.fleet import Feature, Fleet
from gaugecast.history import fleet_of_file, read_inputs
from gaugecast.learn.autoencoder.saved import load_detector
from gaugecast.learn.keras_models.config import read_layers
from gaugecast.ledger import LedgerReader
from gaugecast.model import load_model
from gaugecast.mqtt.credentials import make_tls_context, read_password
from support.daemon import run_command

pytestmark = pytest.mark.timeout(60)

FLEET = Fleet("tanks", ("plant/{tank}",), "{tank}", (Feature("p"),), period_ns=10**9)

#: Every reader of a file that a user names, by the name under which it looks for it, and what it raises.
READERS: dict[str, tuple[str, Callable[[Path], object], type[GaugecastError]]] = {
    "configuration": ("x.toml", lambda path: load_settings(path, {}), ConfigError),
    "training table": ("x.toml", lambda path: read_table(path, "train", Train, {}, None), ConfigError),
    "csv": ("x.csv", lambda path: list(read_inputs(path, FLEET)), ConfigError),
    "csv without a fleet": ("x.csv", fleet_of_file, ConfigError),
    "parquet": ("x.parquet", fleet_of_file, ConfigError),
    "model": ("x.json", load_model, ModelError),
    "model in a folder": ("model.json", lambda path: load_model(path.parent), ModelError),
    "keras model": ("x.keras", read_layers, ModelError),
    "detector": ("detector.json", lambda path: load_detector(path.parent), ModelError),
    "password": ("x", lambda path: read_password(Mqtt(password_file=path)), ConfigError),
    "certificates": ("x.pem", lambda path: make_tls_context(Tls(ca=path)), ConfigError),
    "key": ("x.pem", lambda path: make_tls_context(Tls(certificate=path, key=path)), ConfigError),
    "ledger": ("ledger.sqlite", lambda path: LedgerReader(path.parent), StorageError),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_in_words(tmp_path: Path, name: str) -> None:
    """Nobody writes to it, so that to open it would be the end."""
    file, read, raised = READERS[name]
    os.mkfifo(tmp_path / file)
    with pytest.raises(raised, match="a pipe"):
        read(tmp_path / file)


def test_devices_sockets_and_folders_are_told_apart(tmp_path: Path) -> None:
    """The words say what stands there."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        for path, said in ((tmp_path / "s", "a socket"), (Path("/dev/zero"), "a device"), (tmp_path, "directory")):
            with pytest.raises(OSError, match=said):
                regular(path)
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "absent")


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    """Kubernetes and systemd lay credentials out as links."""
    (tmp_path / "there").write_text("1")
    (tmp_path / "link").symlink_to("there")
    assert regular(tmp_path / "link") == tmp_path / "link"


@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("models", "list"),
        ("models", "import", "{pipe}"),
        ("replay", "--csv", "{pipe}"),
        ("train", "{pipe}"),
    ],
)
def test_a_command_ends_with_78_at_a_pipe(tmp_path: Path, words: tuple[str, ...]) -> None:
    """With the pipe's name."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    config = tmp_path / "gaugecast.toml"
    config.write_text('[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.p]\n')
    named = [word.format(pipe=pipe) for word in words]
    ended = run_command(*named, "-c", str(config if named != list(words) else pipe))
    assert ended.returncode == 78
    assert "pipe.csv" in ended.stderr
    assert "found a pipe" in ended.stderr
