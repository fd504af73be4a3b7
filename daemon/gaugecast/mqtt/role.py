"""What each of our two connections is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """One of the two.

    Attributes:
        place: Its table in the configuration, for messages.
        keeps_session: The broker keeps a session for us, and what comes in while we are away. Else every connection
            begins clean: what we publish is kept by the ledger, and an old session could only bring old packets.
        publishes: Forecasts leave here, and so does the status, with the last will: nothing can follow `offline`.
    """

    place: str
    keeps_session: bool
    publishes: bool


SUBSCRIBING = Role("mqtt", keeps_session=True, publishes=False)
PUBLISHING = Role("mqtt.publish", keeps_session=False, publishes=True)
