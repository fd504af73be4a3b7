"""What comes on a broker, and what a configuration that reads it could look like.

From outside in: `heard` takes payloads apart, `kinds` tells kinds of readings on one topic apart, `clocks` finds their
time, `rhythm` their period, `quantities` says what each field is, `places` which topics belong together; `proposing`
puts it together, `writing` writes it.
"""

from gaugecast.payloads.discovery.heard import Came, Heard
from gaugecast.payloads.discovery.proposing import fields_of
from gaugecast.payloads.discovery.rhythm import Rhythm, rhythm_of_distances
from gaugecast.payloads.discovery.writing import Proposal, Stanza, joined, propose

__all__ = [
    "Came", "Heard", "Proposal", "Rhythm", "Stanza", "fields_of", "joined", "propose", "rhythm_of_distances",
]  # fmt: skip
