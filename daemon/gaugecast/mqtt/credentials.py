"""What the broker asks of us: password and certificates, read from files."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from gaugecast.config.schema import Mqtt, Tls
from gaugecast.errors import ConfigError
from gaugecast.files import regular


def read_password(settings: Mqtt, place: str = "mqtt") -> str | None:
    """Read the password, without the line's end; `None` if there is none. `place` is the table that names it.

    A relative `password_file` is looked for among systemd's credentials first.

    Raises:
        ConfigError: the file cannot be read or is not UTF-8.
    """
    if settings.password_file is None:
        return None
    path = _find_credential(settings.password_file)
    try:
        return regular(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"[{place}] password_file: expected a readable file with the password, got {exc}") from exc


def make_tls_context(tls: Tls | None, place: str = "mqtt") -> ssl.SSLContext | None:
    """Make the TLS context for a client (TLS 1.2 and later); `None` if the connection is plain.

    `place` is the table above that of `tls`.

    Raises:
        ConfigError: a certificate or key cannot be loaded.
    """
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else regular(tls.ca))
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"[{place}.tls] ca: expected CA certificates in PEM, {tls.ca}: {_short(exc)}") from exc
    # From Python 3.13 on, certificates that lack extensions of RFC 5280 are refused by default, such as plants make by
    # mosquitto's own manual. What is trusted must not hang on the Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate, tls.key, place)
    elif tls.key is not None:
        raise ConfigError(f"[{place}.tls] key: set without `certificate`, to which it would belong")
    context.check_hostname = tls.verify_hostname
    return context


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None, place: str) -> None:
    named = "certificate" if key is None else "certificate, key"
    files = f"{certificate}" if key is None else f"{certificate} and {key}"
    try:
        context.load_cert_chain(
            regular(_find_credential(certificate)), None if key is None else regular(_find_credential(key))
        )
    except OSError as exc:
        mend = "; name the file of the private key in `key`" if key is None else ""
        raise ConfigError(
            f"[{place}.tls] {named}: expected a client certificate and its private key in PEM, {files}: "
            f"{_short(exc)}{mend}"
        ) from exc


def _short(failure: OSError) -> str:
    """What was found, without the place in OpenSSL's source."""
    if not isinstance(failure, ssl.SSLError):
        return f"{failure.strerror or failure}"
    reason = str(failure.reason or "").replace("_", " ").lower()
    return "not in this format" if not reason or "pem lib" in reason or "no certificate" in reason else reason


def _find_credential(path: Path) -> Path:
    """A relative path is first looked for in `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential=)."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and not path.is_absolute() and (Path(directory) / path).exists():
        return Path(directory) / path
    return path
