"""Names for what a ledger goes on as."""

from __future__ import annotations

import secrets


def new_lineage() -> str:
    """8 hexadecimal digits that no other ledger has, as far as chance goes."""
    return secrets.token_hex(4)
