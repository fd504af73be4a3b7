"""Whether anything is learned here, and by whom: what `[learning] mode` comes to on this machine.

TensorFlow is found, never imported. Where memory must not be both written and run (`MemoryDenyWriteExecute` of a
systemd unit), it could not compile: there a child of the daemon would die at once, and the learner is a unit.
"""

from __future__ import annotations

import importlib.util
import mmap
import sys
from collections.abc import Callable

from gaugecast.config.schema import Learning
from gaugecast.status import LearningStatus

UNIT = "gaugecast-learner"
INSTALL = f"python3 -m pip --python {sys.executable} install tensorflow"
START_UNIT = f"systemctl enable --now {UNIT}"


def has_tensorflow() -> bool:
    """Whether this installation could learn."""
    return importlib.util.find_spec("tensorflow") is not None


def may_compile() -> bool:
    """Whether this process, and so its children, may have memory that is written and run."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


def decide(
    learning: Learning,
    *,
    has_tensorflow: Callable[[], bool] = has_tensorflow,
    may_compile: Callable[[], bool] = may_compile,
) -> LearningStatus:
    """What the configuration comes to in this process."""
    if learning.mode == "off":
        return LearningStatus(mode="off", why="[learning] mode")
    if not has_tensorflow():
        return LearningStatus(mode="impossible", why=f"TensorFlow is not installed ({INSTALL})")
    if learning.mode == "unit":
        return LearningStatus(mode="unit")
    if may_compile():
        return LearningStatus(mode="child")
    if learning.mode == "auto":
        return LearningStatus(mode="unit")
    why = f'MemoryDenyWriteExecute keeps TensorFlow from compiling in a child: [learning] mode = "unit", {START_UNIT}'
    return LearningStatus(mode="impossible", why=why)


def settled(learning: Learning, decided: LearningStatus) -> Learning:
    """The table as the loop is to have it: where nothing is learned, nothing that people put in force is taken back."""
    mode = decided.mode if decided.mode in ("child", "unit") else "off"
    return learning.model_copy(update={"mode": mode})
