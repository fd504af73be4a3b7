"""`python launcher.py NAME run -c FILE`: gaugecast with one thing changed, for what cannot be provoked from outside.

`poison`: the process dies, as of a segmentation fault, when it decodes a payload that contains `poison`.
`quick_retry`: refused publishes are offered again after half a second, not after half a minute.
`quick_sweep`: weights that nothing names are deleted at once, not after a minute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from gaugecast.payloads import Decoded, Decoder
from gaugecast.records import Message
from gaugecast.service import publisher, sweep

EXIT_CODE = 70


def poison() -> None:
    """Die in `decode`."""
    decode = Decoder.decode

    def deadly(self: Decoder, messages: Sequence[Message], received_at_ns: int) -> Decoded:
        if any(b"poison" in message.payload for message in messages):
            os._exit(EXIT_CODE)
        return decode(self, messages, received_at_ns)

    Decoder.decode = deadly  # type: ignore[method-assign]


def quick_retry() -> None:
    """Shorten the publisher's pause."""
    publisher.RETRY_S = publisher.RETRY_MAX_S = 0.5


def quick_sweep() -> None:
    """Begin at once."""
    sweep.FIRST_S = 0.1


CHANGES: dict[str, Callable[[], None]] = {"poison": poison, "quick_retry": quick_retry, "quick_sweep": quick_sweep}


def command(name: str) -> list[str]:
    """What to call instead of `gaugecast`."""
    assert name in CHANGES
    return [sys.executable, os.path.abspath(__file__), name]


if __name__ == "__main__":
    from gaugecast.cli import main

    CHANGES[sys.argv.pop(1)]()
    main()
