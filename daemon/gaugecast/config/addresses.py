"""What an address in a configuration says of where things go."""

from __future__ import annotations

import ipaddress


def is_this_machine(host: str) -> bool:
    """Whether what goes to `host` stays on this machine, as far as its name tells."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
