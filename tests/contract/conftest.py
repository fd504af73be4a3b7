"""Brokers and links over {MQTT 5, 3.1.1} × {TCP, TLS}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.links import Reach, Serve, name_variant, turn_until
from gaugecast.config.broker import MqttVersion
from gaugecast.config.schema import Mqtt, Tls
from gaugecast.mqtt import Link
from support.mosquitto import Certificates, Mosquitto, make_certificates

#: Either of the last one's two sides has its own every day.
VARIANTS = [("5", False), ("5", True), ("3.1.1", False), pytest.param(("3.1.1", True), marks=pytest.mark.long)]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One set for all tests."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=VARIANTS, ids=name_variant)
def variant(request: pytest.FixtureRequest) -> tuple[MqttVersion, bool]:
    """Protocol, and whether over TLS."""
    chosen: tuple[MqttVersion, bool] = request.param
    return chosen


@pytest.fixture
def serve(tmp_path: Path, variant: tuple[MqttVersion, bool], certificates: Certificates) -> Iterator[Serve]:
    """Starts brokers of the variant's transport."""
    brokers: list[Mosquitto] = []

    def make(**settings: Any) -> Mosquitto:
        files = certificates if variant[1] else None
        broker = Mosquitto(tmp_path / f"broker{len(brokers)}", certificates=files, client_certificates=True, **settings)
        broker.start()
        brokers.append(broker)
        return broker

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def reach(variant: tuple[MqttVersion, bool]) -> Iterator[Reach]:
    """Makes links to a broker, with the variant's protocol and transport."""
    links: list[Link] = []

    def make(
        broker: Mosquitto,
        filters: list[tuple[str, int]],
        *,
        via: int | None = None,
        connect: bool = True,
        forget: tuple[str, ...] = (),
        retained: tuple[str, ...] = (),
        flap_limit: int = 10_000,
        **settings: Any,
    ) -> Link:
        if broker.certificates is not None:
            files = broker.certificates
            settings["tls"] = Tls(ca=files.ca, certificate=files.client, key=files.client_key)
        settings = {"host": "127.0.0.1", "reconnect_max_s": 0.1, **settings}
        keepalive_s = settings.pop("keepalive_s", 30)
        mqtt = Mqtt(port=via or broker.port, protocol=variant[0], **settings)
        mqtt = mqtt.model_copy(update={"keepalive_s": keepalive_s})  # a test need not wait for the least allowed
        link = Link(mqtt, filters, forget=forget, retained=retained, flap_limit=flap_limit)
        links.append(link)
        if connect:
            subscribed = broker.count("Sending SUBACK")
            turn_until(link, lambda: link.connected and broker.count("Sending SUBACK") > subscribed)
        return link

    yield make
    for link in links:
        link.close(0.0)
