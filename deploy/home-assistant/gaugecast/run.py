"""Starts gaugecast as a Home Assistant app: broker and password from the Supervisor, the rest from /config.

Begins as root, since Home Assistant's folders are root's, and becomes the user `gaugecast` before anything else runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

USER = 10001
CONFIG, STATE, OPTIONS, SECRET = (Path(p) for p in ("/config", "/data/gaugecast", "/data/options.json", "/run/secret"))


def ask_broker(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the Supervisor knows of the broker; empty where there is none, and gaugecast.toml says it."""
    request = urllib.request.Request(
        "http://supervisor/services/mqtt", headers={"Authorization": f"Bearer {environ.get('SUPERVISOR_TOKEN', '')}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer)["data"])
    except (OSError, ValueError, KeyError) as exc:
        print(f"no broker from Home Assistant ({exc}): [mqtt] of gaugecast.toml holds", file=sys.stderr)
        return {}


def environment(broker: Mapping[str, Any], secret: Path) -> dict[str, str]:
    """Variables that override the file; the password goes into a file, not here."""
    made = {
        "GAUGECAST_STORAGE__DIRECTORY": str(STATE),
        "GAUGECAST_HTTP__HOST": "0.0.0.0",
        "GAUGECAST_HTTP__PORT": "9464",
    }
    if broker:
        made |= {"GAUGECAST_MQTT__HOST": str(broker["host"]), "GAUGECAST_MQTT__PORT": str(broker["port"])}
    if broker.get("username"):
        secret.write_text(str(broker["password"]))
        secret.chmod(0o600)
        made |= {"GAUGECAST_MQTT__USERNAME": str(broker["username"]), "GAUGECAST_MQTT__PASSWORD_FILE": str(secret)}
    return made


def main() -> None:
    """Prepare the folders, give up root, and become the daemon."""
    options = json.loads(OPTIONS.read_text())
    environ = {**os.environ, **environment(ask_broker(os.environ), SECRET)}
    environ.pop("SUPERVISOR_TOKEN", None)
    file = CONFIG / "gaugecast.toml"
    if not file.exists():
        subprocess.run(["gaugecast", "init", str(file)], check=True)
        print(f"{file} is new: say there which topics your sensors have, then restart the app", file=sys.stderr)
    STATE.mkdir(mode=0o700, exist_ok=True)
    for place in (STATE, *STATE.rglob("*"), *([SECRET] if SECRET.exists() else [])):
        shutil.chown(place, USER, USER)
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    os.execvpe("gaugecast", ["gaugecast", "run", "-c", str(file), "--log-level", options["log_level"]], environ)


if __name__ == "__main__":
    main()
