"""How the thread of a part of a cluster ends: in the log, and told to whoever keeps its process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def live_and_tell(
    live: Callable[[], None], ended: Callable[[BaseException | None], None], *, log: Any, part: str, **names: object
) -> None:
    """Run a thread's work to its end, whatever that is.

    Args:
        live: The work.
        ended: Told how it ended; `None` = as asked.
        log: Where a failure is said.
        part: What ended, in words; `names` say which.
    """
    try:
        live()
    except BaseException as exc:
        log.error(f"{part} ended", **names, why=f"{type(exc).__name__}: {exc}")
        ended(exc)
        return
    ended(None)
