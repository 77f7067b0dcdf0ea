"""Applying migrations.

A migration is a file `NUMBER_name.sql` below `DIRECTORY/postgres` or `DIRECTORY/sqlite` of a package. The sets of
several packages make one list, sorted by number, under one bookkeeping table. All pending files run in one transaction
under a lock, so a failed run leaves nothing behind and concurrent runs take turns. An applied file may never change:
its checksum is compared. A database to which a newer version of one of these sets was applied is refused. Those of sets
that nobody here knows are left alone.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from runtara_sdk.errors import ConfigurationError

from runtara_core.database import Database, Dialect, QuerySet, Row, Transaction, create_database

if TYPE_CHECKING:
    import asyncpg

_FILE_NAME = re.compile(r"(\d+)_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class MigrationSet:
    """The migrations of one package.

    Attributes:
        name: of the set, for messages and bookkeeping.
        package: import package that ships the files.
        directory: below the package; holds the folders `postgres` and `sqlite`.
    """

    name: str
    package: str
    directory: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A migration that a run has applied."""

    version: int
    migration_set: str
    name: str


@dataclass(frozen=True, slots=True)
class _Migration:
    version: int
    migration_set: str
    name: str
    script: str
    checksum: str

    @property
    def label(self) -> str:
        return f"{self.migration_set} migration {self.version:03d}_{self.name}"


CORE_MIGRATIONS = MigrationSet("core", "runtara_core", "migrations")


async def run(
    database: str | Database | asyncpg.Pool[Any], extra: Sequence[MigrationSet] = ()
) -> tuple[AppliedMigration, ...]:
    """Apply what is missing of core's migrations and those of `extra`; running again does nothing.

    Args:
        database: a database URL, a database that is open, or an asyncpg pool of the caller's.
        extra: further sets; their versions must differ from core's and from each other's.

    Returns:
        What was applied now, in order.

    Raises:
        ConfigurationError: two files share a version, an applied file has changed since, or a newer version of one of
            the sets has been applied.
        StorageError: the database failed; nothing was applied.
    """
    if isinstance(database, Database):
        return await _run_on(database, extra)
    if not isinstance(database, str):
        return await run_postgres(database, extra)
    opened = create_database(database, QuerySet({}, {}))
    await opened.open()
    try:
        return await _run_on(opened, extra)
    finally:
        await opened.close()


async def run_postgres(pool: asyncpg.Pool[Any], extra: Sequence[MigrationSet] = ()) -> tuple[AppliedMigration, ...]:
    """Like `run`, on an asyncpg pool of the caller's, which stays open; one of its connections is used."""
    # Imported here so that whoever uses SQLite never loads the PostgreSQL driver.
    from runtara_core.database.postgres import LentPoolDatabase

    return await _run_on(LentPoolDatabase(pool, QuerySet({}, {})), extra)


async def _run_on(database: Database, extra: Sequence[MigrationSet]) -> tuple[AppliedMigration, ...]:
    migrations = _collect((CORE_MIGRATIONS, *extra), database.dialect)
    return await database.run(
        lambda transaction: _apply(transaction, migrations, database.location), operation="migrations"
    )


async def _apply(
    transaction: Transaction, migrations: Sequence[_Migration], location: str
) -> tuple[AppliedMigration, ...]:
    await transaction.fetch_one("lock_migrations")
    await transaction.execute("create_migrations_table")
    applied = {row["version"]: row for row in await transaction.fetch_all("list_applied_migrations")}
    for migration in migrations:
        row = applied.get(migration.version)
        if row is not None and row["checksum"] != migration.checksum:
            raise ConfigurationError(
                f"{location}: {migration.label} was applied with another content (as {row['name']}): applied files must"
                " never change; restore the file or add a new migration"
            )
    _refuse_newer(migrations, applied.values(), location)
    pending = [migration for migration in migrations if migration.version not in applied]
    for migration in pending:
        await transaction.execute_script(migration.script)
        await transaction.execute(
            "insert_migration",
            version=migration.version,
            migration_set=migration.migration_set,
            name=migration.name,
            checksum=migration.checksum,
            applied_at_ms=time.time_ns() // 1_000_000,
        )
    return tuple(AppliedMigration(each.version, each.migration_set, each.name) for each in pending)


def _refuse_newer(migrations: Sequence[_Migration], applied: Iterable[Row], location: str) -> None:
    newest = {migration.migration_set: migration.version for migration in migrations}  # in order of versions
    for row in applied:
        if row["version"] > newest.get(row["migration_set"], row["version"]):
            raise ConfigurationError(
                f"{location} belongs to a newer version of Runtara, which has applied {row['migration_set']} migration "
                f"{row['version']:03d}_{row['name']}: start that version, or give this one another database"
            )


def _collect(sets: Sequence[MigrationSet], dialect: Dialect) -> list[_Migration]:
    by_version: dict[int, _Migration] = {}
    for migration_set in sets:
        for migration in _read(migration_set, dialect):
            other = by_version.setdefault(migration.version, migration)
            if other is not migration:
                raise ConfigurationError(f"{migration.label} and {other.label} have the same version: renumber one")
    return [by_version[version] for version in sorted(by_version)]


def _read(migration_set: MigrationSet, dialect: Dialect) -> list[_Migration]:
    folder = resources.files(migration_set.package).joinpath(migration_set.directory, dialect.value)
    if not folder.is_dir():
        raise ConfigurationError(
            f"migration set {migration_set.name}: {migration_set.package} ships no folder"
            f" {migration_set.directory}/{dialect.value}"
        )
    migrations = []
    for file in folder.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ConfigurationError(
                f"migration set {migration_set.name}: {file.name} is not named NUMBER_name.sql: rename it"
            )
        script = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        migrations.append(
            _Migration(
                version=int(match.group(1)),
                migration_set=migration_set.name,
                name=match.group(2),
                script=script,
                checksum=hashlib.sha256(script.encode()).hexdigest(),
            )
        )
    return migrations
