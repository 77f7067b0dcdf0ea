"""Reading of database URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runtara_sdk.errors import ConfigurationError

from runtara_core.database.queries import Dialect

_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_REMEDY = "use postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:///PATH"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is.

    Attributes:
        dialect: which database it is.
        url: as given, with credentials: never put it into a message.
        path: the file of an SQLite database; None in memory and for PostgreSQL.
        location: for messages, without credentials.
    """

    dialect: Dialect
    url: str
    path: Path | None
    location: str

    @staticmethod
    def is_one(url: str) -> bool:
        """Whether `parse` knows the scheme; other schemes belong to plugins that keep the state of instances."""
        return url_scheme(url) in {"", "sqlite", *_POSTGRES_SCHEMES}

    @classmethod
    def parse(cls, url: str) -> DatabaseUrl:
        """Read `postgres://...`, `sqlite:///relative`, `sqlite:////absolute`, `sqlite:PATH`, `sqlite://:memory:`.

        A text without a scheme is the path of an SQLite file. Raises `ConfigurationError` for anything else.
        """
        scheme = url_scheme(url)
        if scheme in _POSTGRES_SCHEMES:
            return cls(Dialect.POSTGRES, url, None, _postgres_location(url))
        if scheme == "sqlite":
            _, authority, rest = url.partition("://")
            rest = unquote((rest if authority else url.partition(":")[2]).split("?", 1)[0])
            if rest in {":memory:", "/:memory:"}:
                return cls(Dialect.SQLITE, url, None, "SQLite in memory")
            path = rest.removeprefix("/") if authority else rest
        elif scheme == "":
            path = url
        else:
            raise ConfigurationError(f"database URL has the unknown scheme {scheme!r}: {_REMEDY}")
        if not path or path.endswith("/") or "\0" in path:
            raise ConfigurationError(f"database URL {url!r} names no file: {_REMEDY}")
        return cls(Dialect.SQLITE, url, Path(path), f"SQLite file {path}")


def url_scheme(url: str) -> str:
    """The scheme in lower case, or an empty text for a plain path."""
    scheme, colon, _ = url.partition(":")
    return scheme.lower() if colon and _SCHEME.fullmatch(scheme) else ""


def require_meant_path(path: Path) -> None:
    """Refuse a relative path that was most likely meant to be absolute, as `sqlite:///var/lib/x.db` is elsewhere."""
    if not path.is_absolute() and not path.parent.exists() and (Path("/") / path).parent.is_dir():
        raise ConfigurationError(
            f"the database path {str(path)!r} is relative and its folder does not exist, but /{path.parent} does: "
            f"write sqlite:////{path}, or make the folder"
        )


def _postgres_location(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        host = parts.hostname or "localhost"
    except ValueError:
        raise ConfigurationError(f"the PostgreSQL database URL is malformed: {_REMEDY}") from None
    return f"PostgreSQL {parts.path.removeprefix('/') or 'database'} at {host}:{port}"
