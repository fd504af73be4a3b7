"""A ledger's home that is an SQLite file: its size, and the room that it gives back."""

from __future__ import annotations

from pathlib import Path

from gaugecast.ledger import schema, told
from gaugecast.ledger.connection import translated
from gaugecast.ledger.sql import Connection, Home

_VACUUM_BYTES = 1 << 18  # given back to the file system in one call


def home_of(path: Path) -> Home:
    """What is asked of the file."""
    return Home(
        name=str(path),
        errors=lambda: translated(path),
        size_bytes=lambda _: size_bytes(path),
        used_bytes=used_bytes,
        has_legacy=schema.has_legacy,
        has_told=told.is_there,
        give_back=give_back,
    )


def size_bytes(path: Path) -> int:
    """What the ledger takes on the disk, its WAL included."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def used_bytes(connection: Connection) -> int:
    """What the rows take, without pages that are free."""
    pages, free, page_bytes = _pages(connection)
    return (pages - free) * page_bytes


def give_back(connection: Connection) -> None:
    """Shrink the file a little where more than a quarter of it is free."""
    pages, free, page_bytes = _pages(connection)
    chunk = _VACUUM_BYTES // page_bytes
    if free * 4 > pages and free > 4 * chunk:
        for _ in range(chunk):  # the module steps this statement once, whatever number it is given
            connection.execute("PRAGMA incremental_vacuum(1)")


def _pages(connection: Connection) -> tuple[int, int, int]:
    """How many there are, how many of them are free, and the bytes of one."""
    pages, free, page_bytes = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return pages, free, page_bytes
