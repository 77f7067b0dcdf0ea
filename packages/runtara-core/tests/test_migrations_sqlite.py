from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from runtara_core import migrations
from runtara_core.migrations import AppliedMigration, MigrationSet
from runtara_sdk.errors import ConfigurationError, StorageError

CORE_FILES = sorted(
    file.name.removesuffix(".sql").partition("_")
    for file in resources.files(migrations).joinpath("sqlite").iterdir()
    if file.name.endswith(".sql")
)
CORE_VERSIONS = [int(version) for version, _, _ in CORE_FILES]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that ships a set of migrations."""
    folder = tmp_path / "guest_package"
    (folder / "migrations" / "sqlite").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder / "migrations" / "sqlite"
    sys.modules.pop("guest_package", None)


GUEST = MigrationSet("guest", "guest_package", "migrations")


def applied(path: Path) -> list[tuple[int, str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT version, migration_set, name FROM runtara_migrations ORDER BY version").fetchall()
    connection.close()
    return rows


async def test_running_twice_does_nothing_more(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/core.db"
    first = await migrations.run(url)
    assert [each.version for each in first] == CORE_VERSIONS
    assert await migrations.run(url) == ()


async def test_concurrent_runs_apply_each_file_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/core.db"
    runs = await asyncio.gather(*(migrations.run(url) for _ in range(6)))
    assert sorted(each.version for run in runs for each in run) == CORE_VERSIONS


async def test_sets_make_one_sorted_list(tmp_path: Path, package: Path) -> None:
    (package / "20250101000002_second.sql").write_text("CREATE TABLE second (id INTEGER REFERENCES first (id));")
    (package / "20250101000001_first.sql").write_text("CREATE TABLE first (id INTEGER PRIMARY KEY);\n-- done\n")
    url = f"sqlite:///{tmp_path}/core.db"
    run = await migrations.run(url, [GUEST])
    assert run[0].migration_set == "core"
    assert run[-2:] == (
        AppliedMigration(20250101000001, "guest", "first"),
        AppliedMigration(20250101000002, "guest", "second"),
    )
    # Core alone does not mind the versions of others.
    assert await migrations.run(url) == ()


async def test_an_older_version_that_is_new_here_is_still_applied(tmp_path: Path, package: Path) -> None:
    url = f"sqlite:///{tmp_path}/core.db"
    (package / "20250101000002_second.sql").write_text("CREATE TABLE second (id INTEGER);")
    await migrations.run(url, [GUEST])
    (package / "20250101000001_first.sql").write_text("CREATE TABLE first (id INTEGER);")
    assert [each.name for each in await migrations.run(url, [GUEST])] == ["first"]


async def test_a_changed_file_is_refused(tmp_path: Path, package: Path) -> None:
    url = f"sqlite:///{tmp_path}/core.db"
    file = package / "20250101000001_first.sql"
    file.write_text("CREATE TABLE first (id INTEGER);\n")
    await migrations.run(url, [GUEST])
    file.write_text("CREATE TABLE first (id INTEGER);\r\n")
    await migrations.run(url, [GUEST])
    file.write_text("CREATE TABLE first (id BIGINT);\n")
    with pytest.raises(ConfigurationError, match="guest migration 20250101000001_first was applied with another"):
        await migrations.run(url, [GUEST])


async def test_a_failing_file_leaves_nothing_behind(tmp_path: Path, package: Path) -> None:
    (package / "20250101000001_first.sql").write_text("CREATE TABLE first (id INTEGER); SELECT nothing FROM nowhere;")
    with pytest.raises(StorageError, match="migrations: "):
        await migrations.run(f"sqlite:///{tmp_path}/core.db", [GUEST])
    connection = sqlite3.connect(tmp_path / "core.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


async def test_statements_are_told_apart(tmp_path: Path, package: Path) -> None:
    (package / "20250101000001_first.sql").write_text(
        "CREATE TABLE first (text TEXT); INSERT INTO first VALUES ('a;b'); -- and; so on\n"
        "CREATE TRIGGER echo AFTER INSERT ON first WHEN new.text <> 'x' BEGIN INSERT INTO first VALUES ('x'); END;\n"
        "INSERT INTO first VALUES ('c') -- no semicolon; at the end"
    )
    await migrations.run(f"sqlite:///{tmp_path}/core.db", [GUEST])
    connection = sqlite3.connect(tmp_path / "core.db")
    assert connection.execute("SELECT text FROM first").fetchall() == [("a;b",), ("c",), ("x",)]
    connection.close()


async def test_two_files_of_one_version_are_refused(tmp_path: Path, package: Path) -> None:
    (package / "001_mine.sql").write_text("SELECT 1;")
    with pytest.raises(ConfigurationError, match="have the same version"):
        await migrations.run(f"sqlite:///{tmp_path}/core.db", [GUEST])


async def test_a_badly_named_file_is_refused(tmp_path: Path, package: Path) -> None:
    (package / "first.sql").write_text("SELECT 1;")
    with pytest.raises(ConfigurationError, match=r"first\.sql is not named"):
        await migrations.run(f"sqlite:///{tmp_path}/core.db", [GUEST])


async def test_a_set_without_files_for_the_database_is_refused(tmp_path: Path) -> None:
    missing = MigrationSet("missing", "runtara_core", "nowhere")
    with pytest.raises(ConfigurationError, match="ships no folder nowhere/sqlite"):
        await migrations.run(f"sqlite:///{tmp_path}/core.db", [missing])


async def test_the_bookkeeping_says_what_was_applied(tmp_path: Path) -> None:
    await migrations.run(str(tmp_path / "core.db"))
    assert applied(tmp_path / "core.db") == [(int(version), "core", name) for version, _, name in CORE_FILES]


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    await migrations.run(str(tmp_path / "core.db"))
    connection = sqlite3.connect(tmp_path / "core.db")
    newer = "INSERT INTO runtara_migrations VALUES (?, ?, 'later', '', 0)"
    connection.execute(newer, (20990101000001, "of another product"))
    connection.commit()
    assert await migrations.run(str(tmp_path / "core.db")) == ()
    connection.execute(newer, (CORE_VERSIONS[-1] + 1, "core"))
    connection.commit()
    connection.close()
    with pytest.raises(ConfigurationError) as refusal:
        await migrations.run(str(tmp_path / "core.db"))
    assert "core.db belongs to a newer version of Runtara" in refusal.value.message
    assert f"core migration {CORE_VERSIONS[-1] + 1:03d}_later: start that version" in refusal.value.message
