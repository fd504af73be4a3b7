"""What tests of others need: fleets, readings and models in a line each, a pipeline to put them through, and a daemon
without a broker. gaugecast's own tests use the same.

Nothing here is imported by a daemon that runs.
"""

from gaugecast.testing.broker import MemoryBroker, Published
from gaugecast.testing.clock import Clock
from gaugecast.testing.daemon import LocalDaemon
from gaugecast.testing.fleets import SECOND, T0, features_of, fleet_of
from gaugecast.testing.link import MemoryLink
from gaugecast.testing.models import model_for, random_model
from gaugecast.testing.pipelines import bodies_of, feed, messages_of, outputs_of, pipeline_of, verdicts_of
from gaugecast.testing.readings import installed, reading, timer

__all__ = [
    "SECOND",
    "T0",
    "Clock",
    "LocalDaemon",
    "MemoryBroker",
    "MemoryLink",
    "Published",
    "bodies_of",
    "features_of",
    "feed",
    "fleet_of",
    "installed",
    "messages_of",
    "model_for",
    "outputs_of",
    "pipeline_of",
    "random_model",
    "reading",
    "timer",
    "verdicts_of",
]
