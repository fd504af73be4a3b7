"""Why no session came about, in words that name keys: against real brokers, one for each cause."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugecast.config.schema import Mqtt, Tls
from gaugecast.mqtt import Link
from gaugecast.mqtt.causes import explain_refusal, names_of
from gaugecast.mqtt.role import PUBLISHING, SUBSCRIBING
from support.mosquitto import Certificates, Mosquitto, free_port, make_certificates, run_mosquitto, wait_until


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One CA with a server named localhost."""
    return make_certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Another CA."""
    return make_certificates(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, files: Certificates) -> Iterator[Mosquitto]:
    """A broker with TLS alone."""
    with run_mosquitto(tmp_path_factory.mktemp("secure"), certificates=files) as broker:
        yield broker


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker without TLS, which knows nobody."""
    with run_mosquitto(tmp_path_factory.mktemp("plain"), anonymous=False) as broker:
        yield broker


def faults(settings: Mqtt) -> tuple[str, str]:
    """What both sides of a link say of their first attempts."""
    link = Link(settings, [("a", 1)])
    try:

        def both() -> bool:
            link.poll(1, 0.01)
            return bool(link.subscriber.last_error and link.sender.last_error)

        wait_until(both, what="an attempt to fail")
        return str(link.subscriber.last_error), str(link.sender.last_error)
    finally:
        link.close(0.1)


def test_a_ca_that_did_not_sign_is_named(secure: Mosquitto, other: Certificates) -> None:
    """With its file, and the key to change."""
    for said in faults(Mqtt(host="localhost", port=secure.port, tls=Tls(ca=other.ca))):
        assert said.startswith(f"[mqtt.tls] ca: the CA in {other.ca} did not sign the broker's certificate;")


def test_the_system_is_named_where_no_ca_is(secure: Mosquitto) -> None:
    """The usual case of a private CA that was forgotten."""
    for said in faults(Mqtt(host="localhost", port=secure.port, tls=Tls())):
        assert said.startswith("[mqtt.tls] ca: no CA that this system trusts has signed the broker's certificate;")


def test_names_of_a_certificate_that_is_not_for_our_host_are_told(
    secure: Mosquitto, files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learned by a second look, over which nothing of ours goes: the broker sees no CONNECT."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    before = len(secure.log_lines())
    for said in faults(Mqtt(host="broker.example", port=secure.port, tls=Tls(ca=files.ca), client_id="mismatch")):
        assert "[mqtt] host: the broker's certificate is not for 'broker.example' but for localhost, 127.0.0.1;" in said
        assert "[mqtt.tls] verify_hostname = false" in said
    assert not any("mismatch" in line for line in secure.log_lines()[before:])


def test_plain_mqtt_at_a_tls_port_is_told(secure: Mosquitto) -> None:
    """It hangs up, or answers with an alert; both mean the same."""
    for said in faults(Mqtt(host="localhost", port=secure.port)):
        assert said.startswith(f"[mqtt] port: localhost:{secure.port} takes no plain MQTT;")
        assert "if it speaks TLS, add [mqtt.tls]" in said


def test_tls_at_a_plain_port_is_told(plain: Mosquitto, files: Certificates) -> None:
    """Whether it hangs up, or answers with what is no TLS."""
    for said in faults(Mqtt(host="localhost", port=plain.port, tls=Tls(ca=files.ca))):
        assert said.startswith(f"[mqtt] port: localhost:{plain.port} does not speak TLS;")


def test_a_certificate_of_ours_that_the_broker_wants_is_told(tmp_path: Path, files: Certificates) -> None:
    """With TLS 1.3 the broker says so only after the handshake."""
    with run_mosquitto(tmp_path, certificates=files, client_certificates=True) as broker:
        for said in faults(Mqtt(host="localhost", port=broker.port, tls=Tls(ca=files.ca))):
            assert said.startswith("[mqtt.tls] certificate, key: the broker wants a certificate of ours")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_account_that_is_refused_says_what_was_sent(plain: Mosquitto, tmp_path: Path, protocol: str) -> None:
    """Nobody, a user without a password, or both: never the password."""
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    settings = Mqtt.model_validate({"host": "localhost", "port": plain.port, "protocol": protocol})
    named = settings.model_copy(update={"username": "me"})
    both = named.model_copy(update={"password_file": secret})

    for said in faults(settings):
        assert "no user was sent: set [mqtt] username and password_file" in said
    for said in faults(named):
        assert "sent were user 'me' and no password: see [mqtt] username, password_file" in said
    for said in faults(both):
        assert "sent were user 'me' and a password: see [mqtt] username, password_file" in said
        assert "hunter2" not in said


def test_nobody_who_listens_is_told() -> None:
    """The kernel's word stays behind it."""
    port = free_port()
    for said in faults(Mqtt(host="127.0.0.1", port=port)):
        assert said.startswith(f"[mqtt] port: 127.0.0.1:{port} takes no connections;")
        assert "refused" in said


def test_keys_are_those_of_the_table_that_says_it() -> None:
    """What [mqtt.publish] does not say comes from [mqtt]."""
    mqtt = Mqtt.model_validate({"username": "a", "publish": {"username": "b"}})

    assert "see [mqtt] username" in explain_refusal(0x87, mqtt, SUBSCRIBING, password_sent=False)
    assert "see [mqtt.publish] username" in explain_refusal(0x87, mqtt.publishing, PUBLISHING, password_sent=False)
    assert "[mqtt.publish] client_id" in explain_refusal(0x85, mqtt.publishing, PUBLISHING, password_sent=False)
    assert explain_refusal(0x88, mqtt, SUBSCRIBING, password_sent=False) == ""


def test_a_certificate_without_names_has_none() -> None:
    """Old ones have a common name only, which no client looks at."""
    assert names_of({"subject": ((("commonName", "x"),),)}) == ()


def test_what_is_trusted_does_not_hang_on_the_python(
    secure: Mosquitto, files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 3.13 on a context refuses certificates as mosquitto's manual makes them, unless it is told not to."""
    make = ssl.create_default_context

    def strict(**words: Any) -> ssl.SSLContext:
        context = make(**words)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    link = Link(Mqtt(host="localhost", port=secure.port, tls=Tls(ca=files.ca)), [("a", 1)])
    try:
        wait_until(lambda: link.poll(1, 0.01) or link.connected, what=lambda: f"trust; {link.subscriber.last_error}")
    finally:
        link.close(0.1)
