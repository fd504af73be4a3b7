"""Draw all pictures into a folder; the figures that the pages have of them are printed."""

from __future__ import annotations

import sys
from pathlib import Path

from pictures import cell, forms, memory, warnings


def main(folder: Path) -> None:
    """About a minute."""
    folder.mkdir(parents=True, exist_ok=True)
    cell.draw(folder)
    forms.draw(folder)
    for name, figure in {**memory.draw(folder), **warnings.draw(folder)}.items():
        print(f"{name}: {figure:.3f}")
    for place in sorted(folder.glob("*.svg")):
        print(f"{place.name}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
