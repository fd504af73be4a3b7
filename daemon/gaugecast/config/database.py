"""The address of a database, as a configuration may have it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def plain_database(url: str) -> str:
    """Refuse what is no PostgreSQL URL, and one with a password: a configuration file is copied and shown.

    Raises:
        ValueError: With what to write instead.
    """
    if not url:
        return url
    try:
        parts = urlsplit(url)
        password = parts.password or parse_qs(parts.query).get("password")
    except ValueError as exc:
        raise ValueError(f"a URL such as postgresql://gaugecast@db.example/gaugecast ({exc})") from exc
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("a URL such as postgresql://gaugecast@db.example/gaugecast")
    if password:
        raise ValueError(
            "a URL without a password; put that into a file as PGPASSFILE has it, and name the file there or by "
            "?passfile=FILE"
        )
    return url
