"""The message of a crossing is what its schema says."""

from __future__ import annotations

import json

import jsonschema
import pytest

from gaugecast.fleet import Threshold
from gaugecast.forecast.crossings.message import Crossing, CrossingWriter
from gaugecast.testing import SECOND, T0, fleet_of
from support.schemas import PLACES

SCHEMA = json.loads(PLACES[Crossing].read_text())


@pytest.mark.parametrize("event", ["begin", "update", "end"])
def test_a_message_is_valid_and_says_when(event: str) -> None:
    """Instants are those of the ticks; at the end there are none, and what is not known is absent or null."""
    fleet = fleet_of("p", horizons=(1, 60), thresholds=(Threshold("p", True, 8.2, 3600),))
    body = CrossingWriter(fleet, "0123abcd").body(
        fleet.thresholds[0], "a", step=7, at_ns=T0, began_ns=T0 - SECOND, event=event, observed=float("nan"),
        crossed=False, likely=float("nan") if event == "end" else 0.83, by={1: 0.123456, 60: float("nan")},
        instants=[10.0, 20.5, 30.0],
    )  # fmt: skip
    told = json.loads(body)
    jsonschema.validate(told, SCHEMA)
    assert (told["above"], told["within"], told["began"], "observed" in told) == (8.2, "1h", T0 / 1e9 - 1, False)
    assert told["by"] == {"1s": 0.1235}
    if event == "end":
        assert told["probability"] is None
        assert not {"median", "early", "late"} & told.keys()
    else:
        assert (told["early"], told["median"], told["late"]) == (T0 / 1e9 + 10, T0 / 1e9 + 20.5, T0 / 1e9 + 30)
