"""The control socket: commands for a running daemon, one JSON object a line, answered between two batches.

`server` is polled by the loop thread, `client` is what the command line calls; `requests` and `answers` are the
formats of both.
"""

from gaugecast.control.answers import (
    AheadRow,
    AnomalyRow,
    CrossingRow,
    FeatureColumns,
    FleetColumns,
    IntervalRow,
    MarkColumns,
    StreamRow,
    StreamsAnswer,
    TableAnswer,
)
from gaugecast.control.client import call
from gaugecast.control.requests import (
    MOST_SILENT_S,
    Acknowledge,
    Forget,
    ForgetFleet,
    HandOver,
    LearnerReport,
    LoadHistory,
    ModelsQuery,
    Promote,
    Refit,
    Rename,
    Request,
    Reset,
    RollBack,
    Silence,
    StatusQuery,
    StreamsQuery,
    TableQuery,
)
from gaugecast.control.server import SOCKET_NAME, Command, Control

__all__ = [
    "MOST_SILENT_S",
    "SOCKET_NAME",
    "Acknowledge",
    "AheadRow",
    "AnomalyRow",
    "Command",
    "Control",
    "CrossingRow",
    "FeatureColumns",
    "FleetColumns",
    "Forget",
    "ForgetFleet",
    "HandOver",
    "IntervalRow",
    "LearnerReport",
    "LoadHistory",
    "MarkColumns",
    "ModelsQuery",
    "Promote",
    "Refit",
    "Rename",
    "Request",
    "Reset",
    "RollBack",
    "Silence",
    "StatusQuery",
    "StreamRow",
    "StreamsAnswer",
    "StreamsQuery",
    "TableAnswer",
    "TableQuery",
    "call",
]
