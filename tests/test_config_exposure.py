"""Secrets that others can read: warned of, wherever one looks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gaugecast.cli.status import render_status
from gaugecast.config.addresses import is_this_machine
from gaugecast.config.exposure import warn_of_exposure
from gaugecast.config.schema import Settings
from test_status import STATUS, screen

FLEET = {"a": {"subscribe": ["a/{b}"], "period": 1, "features": {"c": {}}}}


def settings_of(**mqtt: object) -> Settings:
    """With an account at another machine."""
    return Settings.model_validate({"mqtt": {"host": "plant", "username": "me", **mqtt}, "fleet": FLEET})


def test_a_password_over_plain_tcp_to_another_machine_is_told(tmp_path: Path) -> None:
    """Not over TLS, not on this machine; for both connections once."""
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    (told,) = warn_of_exposure(settings_of(password_file=secret))

    assert told.startswith("[mqtt] password_file: the password goes to plant:1883 over plain TCP")
    assert "add [mqtt.tls]" in told
    assert warn_of_exposure(settings_of(password_file=secret, tls={})) == []
    assert warn_of_exposure(settings_of(password_file=secret, host="localhost")) == []
    assert warn_of_exposure(settings_of()) == []


def test_a_file_that_all_can_read_is_told(tmp_path: Path) -> None:
    """A group of its own may; passwords and private keys alike."""
    secret = tmp_path / "secret"
    secret.touch()
    secret.chmod(0o640)
    table = {"host": "localhost", "password_file": secret, "tls": {"certificate": secret, "key": secret}}
    assert warn_of_exposure(settings_of(**table)) == []
    secret.chmod(0o644)
    (told,) = warn_of_exposure(settings_of(**table))
    assert told.endswith(f"can be read by every user of this machine; chmod o-rwx {secret}")


def test_another_broker_to_publish_to_is_looked_at_too(tmp_path: Path) -> None:
    """With the key of its own table."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    other = {"host": "site", "username": "out", "password_file": secret}
    (told,) = warn_of_exposure(settings_of(publish=other))
    assert told.startswith("[mqtt.publish] password_file: the password goes to site:1883")


@pytest.mark.parametrize(
    ("host", "ours"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("broker", False)]
)
def test_what_stays_on_this_machine_is_known_by_its_name(host: str, ours: bool) -> None:
    """Nothing is looked up."""
    assert is_this_machine(host) == ours


def test_the_status_screen_shows_warnings() -> None:
    """As lines of their own."""
    told = msgspec.structs.replace(STATUS, warnings=["[mqtt] password_file: can be read by all"])
    assert "[mqtt] password_file: can be read by all" in screen(render_status(told))
