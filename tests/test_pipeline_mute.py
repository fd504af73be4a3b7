"""A pipeline for whoever wants steps and states alone: it says nothing, and does no work for what would be said."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert
from gaugecast.pipeline.look_ahead import LookAhead
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.testing import fleet_of, model_for, reading

FLEETS = {
    "listed horizons": fleet_of("pq", horizons=(1, 3, 9), intervals=(0.8,)),
    "closed loop": fleet_of("pq", horizon=5),
    "waits and holds": fleet_of("pq", hold_ns=4 * 10**9, feature_capture=""),
}


def solo(fleet: Fleet, *, mute: bool) -> SoloPipeline:
    """With a model in force."""
    return SoloPipeline([(fleet, model_for(fleet))], Loop(), trace=True, mute=mute)


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=list(FLEETS))
def test_what_is_fed_and_remembered_does_not_depend_on_whether_anything_is_said(fleet: Fleet) -> None:
    """Each input of the network, each state, to the bit, through a gap too."""
    mute, speaking = solo(fleet, mute=True), solo(fleet, mute=False)
    for second in [*range(20), *range(22, 30), *range(60, 70)]:
        row = [reading(second, 20.0 + second % 7, 5.0 - second % 3)]
        said = mute.advance(row)
        expected = speaking.advance(row)
        assert len(said.outputs) == 0
        assert len(expected.outputs) >= 1
        assert said.verdicts == expected.verdicts
        for (_, ours), (_, theirs) in zip(said.traces, expected.traces, strict=True):
            np.testing.assert_array_equal(ours.inputs, theirs.inputs)
            np.testing.assert_array_equal(ours.state, theirs.state)
    assert mute.memories("tanks") == speaking.memories("tanks")


def test_nothing_is_looked_for_beyond_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the experts of listed horizons nor by the network's closed loop."""
    asked: list[int] = []
    peek = Expert.peek

    def noting(self: Expert, slots: object, x: object, last: object, at: object, horizon: int) -> object:
        asked.append(horizon)
        return peek(self, slots, x, last, at, horizon)  # type: ignore[arg-type]

    monkeypatch.setattr(Expert, "peek", noting)
    monkeypatch.setattr(LookAhead, "step", lambda *_: pytest.fail("asked for what nobody will hear"))
    for name in ("listed horizons", "closed loop"):
        one = solo(FLEETS[name], mute=True)
        for second in range(12):
            one.advance([reading(second, 20.0 + second % 7, 5.0)])
    assert set(asked) == {1}
