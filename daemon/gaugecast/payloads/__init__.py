"""From messages to inputs: what a payload says of which stream, when; or why it says nothing.

Three readers, one meaning: `plain` (one reading) and `arrays` are quick and give up at anything unusual, `careful`
then finds the readings or the reasons. No payload raises out of here.
"""

from gaugecast.payloads.decoder import Decoded, Decoder

__all__ = ["Decoded", "Decoder"]
