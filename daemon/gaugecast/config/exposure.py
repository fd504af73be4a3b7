"""What in a configuration gives secrets away: no mistake that ends the daemon, but said wherever one looks."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from gaugecast.config.addresses import is_this_machine
from gaugecast.config.schema import Mqtt, Settings


def warn_of_exposure(settings: Settings) -> list[str]:
    """One sentence for each secret that others can read, with the key and the mend; looks at the files' modes."""
    found = [*_exposed(settings.mqtt, "mqtt"), *_exposed(settings.mqtt.publishing, "mqtt.publish")]
    console = settings.console
    secrets = {"[console] token_file": console.token_file, "[console] write_token_file": console.write_token_file}
    if console.tls is not None:
        secrets["[console.tls] key"] = console.tls.key
    for key, file in secrets.items():
        if file is not None and _readable_by_all(file):
            found.append((str(file), f"{key}: {file} can be read by every user; chmod o-rwx {file}"))
    seen: dict[str, str] = {}
    for subject, text in found:  # what [mqtt.publish] takes over from [mqtt] is said once
        seen.setdefault(subject, text)
    return list(seen.values())


def _exposed(mqtt: Mqtt, place: str) -> Iterator[tuple[str, str]]:
    """(what it is about, sentence)."""
    files = {f"[{place}] password_file": mqtt.password_file}
    if mqtt.tls is not None:
        files[f"[{place}.tls] key"] = mqtt.tls.key
    for key, file in files.items():
        if file is not None and _readable_by_all(file):
            yield str(file), f"{key}: {file} can be read by every user of this machine; chmod o-rwx {file}"
    if mqtt.password_file is not None and mqtt.tls is None and not is_this_machine(mqtt.host):
        yield (
            f"{mqtt.host}:{mqtt.port}",
            f"[{place}] password_file: the password goes to {mqtt.host}:{mqtt.port} over plain TCP, where whoever "
            f"listens on the way reads it; add [{place}.tls] and take the broker's TLS port",
        )


def _readable_by_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
