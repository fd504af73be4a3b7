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
        raise ConfigError(f"{place}.password_file: expected a readable file with the password, got {exc}") from exc


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
        if tls.certificate is not None:
            key = None if tls.key is None else regular(_find_credential(tls.key))
            context.load_cert_chain(regular(_find_credential(tls.certificate)), key)
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError(f"{place}.tls: expected readable PEM files, got {exc}") from exc
    context.check_hostname = tls.verify_hostname
    return context


def _find_credential(path: Path) -> Path:
    """A relative path is first looked for in `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential=)."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and not path.is_absolute() and (Path(directory) / path).exists():
        return Path(directory) / path
    return path
