"""Directories that hold state: for their user alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugecast.files import make_private


@pytest.mark.parametrize(("before", "after"), [(None, 0o700), (0o755, 0o750), (0o750, 0o750), (0o700, 0o700)])
def test_others_cannot_look_into_it(tmp_path: Path, before: int | None, after: int) -> None:
    """One that is made is closed; of one that is there already the group's rights stay, those of others go."""
    directory = tmp_path / "state"
    if before is not None:
        directory.mkdir()
        directory.chmod(before)
    make_private(directory)
    assert directory.stat().st_mode & 0o777 == after
