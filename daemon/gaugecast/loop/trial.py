"""How long a model on trial must go on gaining before it is put in force: the more it gains, the shorter.

After n scored steps chance alone moves a skill by about 1/√n. So what is asked for falls with n, and after
`promote_after` steps it is `promote_skill`; a model that is much better has shown it after a tenth of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from gaugecast.config.schema import Learning

#: So many times 1/√n: a model that knows nothing passes at fewer than one look in a hundred, whatever it forecasts.
_CHANCE = 1.5
_LEAST_SHARE, _LEAST_STEPS = 0.1, 20


class Trial(NamedTuple):
    """How a model in shadow fares.

    Attributes:
        steps: Scored so far, over all streams.
        skill: Over them.
        wanted_steps: After so many it is put in force, if it goes on gaining as it does.
        wanted_skill: Least skill with which it is, however long it takes.
    """

    steps: float
    skill: float
    wanted_steps: int
    wanted_skill: float

    @property
    def passed(self) -> bool:
        """Whether it is to be put in force."""
        return self.steps >= self.wanted_steps and self.skill >= self.wanted_skill


def hold_trial(learning: Learning, *, steps: float, skill: float, rival: float) -> Trial:
    """Judge a model in shadow.

    Args:
        learning: `promote_after` and `promote_skill` are used.
        steps, skill: Its own.
        rival: Skill of what is in force; 0 for persistence.
    """
    wanted = max(0.0, rival) + learning.promote_skill
    most = learning.promote_after
    least = min(most, max(round(_LEAST_SHARE * most), _LEAST_STEPS))
    margin = (skill - wanted) / _CHANCE
    enough = most if margin <= 0 else math.ceil(1.0 / (margin + 1.0 / math.sqrt(most)) ** 2)
    return Trial(steps, skill, min(most, max(least, enough)), wanted)
