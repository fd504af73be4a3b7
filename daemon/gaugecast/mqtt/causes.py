"""Why no session with the broker came about, in words that name the keys to look at.

OpenSSL and the kernel say what they saw, not what to do: `CERTIFICATE_VERIFY_FAILED`, `Errno 104`.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError
from gaugecast.mqtt.packets import MalformedPacket
from gaugecast.mqtt.role import Role
from gaugecast.mqtt.wire import ClosedByBroker

#: X509_V_ERR_… of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
WRONG_NAME = frozenset({62, 64})  # host name, IP address
_NEEDS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "PEER_DID_NOT_RETURN_A_CERTIFICATE")
_REFUSED_CERTIFICATE = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE")
#: CONNACK codes that speak of the account: of MQTT 5, and of 3.1.1.
_ACCOUNT = {True: frozenset({0x86, 0x87, 0x8C}), False: frozenset({4, 5})}
#: Of a broker that knows no MQTT 5: in its words, and in those of 3.1.1.
_OLD_PROTOCOL = frozenset({0x84, 1})
_CLIENT_ID = {True: 0x85, False: 2}
#: MQTT 3.1.1 has no word for it: such a broker hangs up.
_WILL = "perhaps the broker takes no retained last will: each third attempt is made without one"


class Unanswered(ConnectionError):
    """CONNECT was sent, and nothing came."""


class WrongName(OSError):
    """The certificate is trusted, but names other hosts than ours."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"the broker's certificate names {', '.join(names) or 'no host'}")
        self.names = names


def names_of(certificate: Any) -> tuple[str, ...]:
    """The hosts that a certificate is for, as `SSLSocket.getpeercert` gives it."""
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))


def explain_failure(failure: Exception, settings: Mqtt, role: Role, *, connected: bool) -> str:
    """What to look at, then what was seen.

    Args:
        failure: Why an attempt ended before CONNACK.
        settings: Of the connection, resolved.
        connected: The connection stood already, and CONNECT was sent.
    """
    if isinstance(failure, ConfigError):
        return str(failure)
    mend = _mend(failure, settings, role, connected=connected)
    return f"{mend} ({failure})" if mend else str(failure)


def _mend(failure: Exception, settings: Mqtt, role: Role, *, connected: bool) -> str:
    port = f"{place_of(settings, role, 'port')} port: {settings.host}:{settings.port}"
    tls_place = place_of(settings, role, "tls", below="tls")
    if isinstance(failure, WrongName):
        return _mend_name(failure, settings, role)
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _mend_certificate(failure, settings, tls_place)
    text = str(failure).upper()
    if isinstance(failure, ssl.SSLError) and any(word in text for word in _NEEDS_CERTIFICATE):
        return f"{tls_place} certificate, key: the broker wants a certificate of ours"
    if isinstance(failure, ssl.SSLError) and any(word in text for word in _REFUSED_CERTIFICATE):
        return f"{tls_place} certificate: the broker does not take ours; is it signed by the broker's CA?"
    old = '[mqtt] protocol: does the broker speak MQTT 5? If not, set "3.1.1"'
    if isinstance(failure, Unanswered) and settings.protocol == "5":
        return old
    hung_up = isinstance(failure, ClosedByBroker | ConnectionResetError | BrokenPipeError | MalformedPacket)
    v5, will = settings.protocol == "5", _WILL if settings.protocol == "3.1.1" and role.will_topic else ""
    if settings.tls is None and connected and hung_up:
        tls = f"{port} takes no plain MQTT; if it speaks TLS, add {tls_place}"
        return f"{tls}; {old}" if v5 else f"{tls}; {will}" if will else tls
    if connected and hung_up and will:
        return will
    if settings.tls is not None and not connected and (hung_up or isinstance(failure, ssl.SSLError)):
        return f"{port} does not speak TLS; take the broker's TLS port (8883 by custom), or remove {tls_place}"
    if isinstance(failure, ConnectionRefusedError):
        return f"{port} takes no connections; does the broker run, and listen there?"
    return ""


def _mend_name(failure: WrongName, settings: Mqtt, role: Role) -> str:
    names = ", ".join(failure.names) or "no host at all"
    return (
        f"{place_of(settings, role, 'host')} host: the broker's certificate is not for {settings.host!r} but for "
        f"{names}; write one of these as host, or set {place_of(settings, role, 'tls', below='tls')} "
        "verify_hostname = false"
    )


def _mend_certificate(failure: ssl.SSLCertVerificationError, settings: Mqtt, place: str) -> str:
    if failure.verify_code in _UNKNOWN_SIGNER:
        ca = None if settings.tls is None else settings.tls.ca
        whose = f"the CA in {ca} did not sign" if ca is not None else "no CA that this system trusts has signed"
        return f"{place} ca: {whose} the broker's certificate; name the file of the CA that did"
    if failure.verify_code == _EXPIRED:
        return "the broker's certificate has expired; renew it at the broker, or set this machine's clock"
    if failure.verify_code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet; is this machine's clock right?"
    return f"{place} ca: the broker's certificate is not trusted"


def explain_refusal(code: int, settings: Mqtt, role: Role, *, password_sent: bool) -> str:
    """What a CONNACK that says no asks for, with a space before it; empty where the code says it all."""
    v5 = settings.protocol == "5"
    if code in _ACCOUNT[v5]:
        place = place_of(settings, role, "username")
        if settings.username is None:
            return f"; no user was sent: set {place} username and password_file"
        word = "a password" if password_sent else "no password"
        return f"; sent were user {settings.username!r} and {word}: see {place} username, password_file"
    if v5 and code in _OLD_PROTOCOL:
        return '; see [mqtt] protocol: set "3.1.1"'
    if code == _CLIENT_ID[v5]:
        return f"; see [{role.place}] client_id, which is {settings.client_id!r}"
    return ""


def place_of(settings: Mqtt, role: Role, key: str, *, below: str = "") -> str:
    """The table that the value of `key` comes from: what [mqtt.publish] does not say is as in [mqtt]."""
    own = role.publishes and (settings.publish.host is not None or getattr(settings.publish, key) is not None)
    place = role.place if own else "mqtt"
    return f"[{place}.{below}]" if below else f"[{place}]"


def is_name_mismatch(failure: OSError) -> bool:
    """Whether a certificate was trusted, but for its names."""
    return isinstance(failure, ssl.SSLCertVerificationError) and failure.verify_code in WRONG_NAME


def explain_lookup(failure: socket.gaierror | OSError | UnicodeError, host: str) -> str:
    """Why a name leads to no address."""
    return f"cannot resolve {host!r}, as [mqtt] host says: {getattr(failure, 'strerror', None) or failure}"
