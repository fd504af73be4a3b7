"""From messages to inputs: what a payload says of which stream, when; or why it says nothing.

Two readers, one meaning: `plain` is quick and gives up at anything unusual, `careful` then finds the readings or the
reasons. No payload raises out of here.
"""

from gaugecast.payloads.decoder import Decoded, Decoder

__all__ = ["Decoded", "Decoder"]
