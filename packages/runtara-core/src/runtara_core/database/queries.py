"""Named queries in SQL files, written once for both databases.

A file holds blocks that start with `-- name: some_name` (a query) or `-- fragment: some_name` (text that queries pull
in with `/*include some_name*/`). Parameters are written `:name`. Where the databases differ, a comment holds the text
of one: `/*postgres FOR UPDATE*/`, `/*sqlite json_each(:keys)*/`; it is uncommented for that database and dropped for
the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from runtara_sdk.errors import ConfigurationError

_BLOCK = re.compile(r"^--[ ]*(name|fragment):[ ]*(\w+)[ ]*$", re.MULTILINE)
_INCLUDE = re.compile(r"/\*include (\w+)\*/")
_DIALECT_COMMENT = re.compile(r"/\*(postgres|sqlite) (.*?)\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"^[ ]*--.*\n?", re.MULTILINE)
# Strings and casts come first, so that a colon in them is never taken for a parameter.
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|::|:([A-Za-z_]\w*)")
_MAX_INCLUDE_DEPTH = 8


class Dialect(StrEnum):
    """The SQL that a database speaks."""

    POSTGRES = "postgres"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Query:
    """A query ready for one database.

    Attributes:
        name: of its block.
        text: with `$1`, `$2` (PostgreSQL) or `:name` (SQLite) parameters.
        parameters: names in the order of `$1`, `$2`.
        parameter_names: the same as a set.
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    parameter_names: frozenset[str]


class QuerySet:
    """Queries by name, for either database."""

    def __init__(self, blocks: Mapping[str, str], origins: Mapping[str, str]) -> None:
        self._blocks = dict(blocks)
        self._origins = dict(origins)

    @classmethod
    def load(cls, package: str, *files: str) -> QuerySet:
        """Read SQL files that ship in `package`; `files` are paths below it, such as `sql/core.sql`.

        Raises `ConfigurationError` when a name is defined twice or an included fragment is missing.
        """
        loaded = cls({}, {})
        for file in files:
            path = resources.files(package).joinpath(file)
            loaded = loaded.merged(cls.parse(path.read_text(encoding="utf-8"), origin=f"{package}/{file}"))
        return loaded

    @classmethod
    def parse(cls, text: str, *, origin: str) -> QuerySet:
        """Read the blocks of one SQL text; `origin` names it in errors."""
        fragments: dict[str, str] = {}
        queries: dict[str, str] = {}
        headers = list(_BLOCK.finditer(text))
        for header, following in zip(headers, [*headers[1:], None], strict=True):
            body = text[header.end() : following.start() if following else len(text)]
            kind, name = header.group(1), header.group(2)
            if name in fragments or name in queries:
                raise ConfigurationError(f"{origin}: {name} is defined twice")
            (queries if kind == "name" else fragments)[name] = _LINE_COMMENT.sub("", body).strip().rstrip(";")
        blocks = {name: _include(name, body, fragments, origin) for name, body in queries.items()}
        return cls(blocks, dict.fromkeys(blocks, origin))

    @property
    def names(self) -> frozenset[str]:
        """Names of all queries."""
        return frozenset(self._blocks)

    def merged(self, other: QuerySet) -> QuerySet:
        """Both sets in one. Raises `ConfigurationError` when two different queries share a name."""
        for name in self.names & other.names:
            if self._blocks[name] != other._blocks[name]:
                raise ConfigurationError(
                    f"query {name} is defined both in {self._origins[name]} and in {other._origins[name]}"
                )
        return QuerySet({**self._blocks, **other._blocks}, {**self._origins, **other._origins})

    def for_dialect(self, dialect: Dialect) -> dict[str, Query]:
        """The queries as one database takes them."""
        return {name: _translate(name, body, dialect) for name, body in self._blocks.items()}


def _include(name: str, body: str, fragments: Mapping[str, str], origin: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match.group(1) not in fragments:
            raise ConfigurationError(f"{origin}: query {name} includes the unknown fragment {match.group(1)}")
        return fragments[match.group(1)]

    for _ in range(_MAX_INCLUDE_DEPTH):
        body, count = _INCLUDE.subn(replacement, body)
        if not count:
            return body
    raise ConfigurationError(f"{origin}: query {name} includes fragments in a circle")


def _translate(name: str, body: str, dialect: Dialect) -> Query:
    text = _DIALECT_COMMENT.sub(lambda match: match.group(2) if match.group(1) == dialect else "", body)
    order: dict[str, int] = {}

    def placeholder(match: re.Match[str]) -> str:
        parameter = match.group(1)
        if parameter is None:
            return match.group(0)
        number = order.setdefault(parameter, len(order) + 1)
        return f"${number}" if dialect is Dialect.POSTGRES else match.group(0)

    text = _TOKEN.sub(placeholder, text)
    return Query(name=name, text=text, parameters=tuple(order), parameter_names=frozenset(order))
