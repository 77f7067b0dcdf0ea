from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path

import pytest
import runtara_core
from runtara_core.database import Dialect, QuerySet
from runtara_core.storages.sql import CORE_QUERIES
from runtara_core.storages.sqlite_storage import SQLITE_QUERIES
from runtara_sdk.errors import ConfigurationError


def translated(body: str, dialect: Dialect = Dialect.POSTGRES) -> tuple[str, tuple[str, ...]]:
    query = QuerySet.parse(f"-- name: it\n{body}", origin="test").for_dialect(dialect)["it"]
    return query.text, query.parameters


def test_parameters_are_numbered_for_postgres_in_the_order_of_their_first_use() -> None:
    text, parameters = translated("SELECT :b, :a, :b")
    assert text == "SELECT $1, $2, $1"
    assert parameters == ("b", "a")


def test_parameters_keep_their_names_for_sqlite() -> None:
    assert translated("SELECT :b, :a;", Dialect.SQLITE)[0] == "SELECT :b, :a"


@pytest.mark.parametrize("body", ["SELECT 'a :b ''c :d'", 'SELECT ":x" FROM t', "SELECT a::text"])
def test_colons_in_strings_names_and_casts_are_no_parameters(body: str) -> None:
    assert translated(body) == (body, ())


def test_dialect_comments_hold_the_text_of_one_database() -> None:
    body = "SELECT x /*postgres FOR UPDATE*/ /*sqlite , :y*/"
    assert translated(body) == ("SELECT x FOR UPDATE ", ())
    assert translated(body, Dialect.SQLITE) == ("SELECT x  , :y", ("y",))


def test_line_comments_are_dropped_even_when_they_look_like_parameters() -> None:
    assert translated("-- it's :odd\nSELECT 1\n-- and :more;\n") == ("SELECT 1", ())


def test_fragments_are_included_also_by_fragments() -> None:
    text = "-- fragment: a\nx\n-- fragment: b\n/*include a*/, y\n-- name: it\nSELECT /*include b*/;\n"
    assert QuerySet.parse(text, origin="test").for_dialect(Dialect.SQLITE)["it"].text == "SELECT x, y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "a is defined twice"),
        ("-- name: a\n/*include b*/", "unknown fragment b"),
        ("-- fragment: b\n/*include b*/\n-- name: a\n/*include b*/", "in a circle"),
    ],
)
def test_mistakes_in_a_file_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        QuerySet.parse(text, origin="queries.sql")


def test_sets_merge_unless_they_disagree() -> None:
    one = QuerySet.parse("-- name: a\nSELECT 1", origin="one.sql")
    two = QuerySet.parse("-- name: b\nSELECT 2", origin="two.sql")
    other = QuerySet.parse("-- name: a\nSELECT 3", origin="other.sql")
    assert one.merged(two).merged(one).names == {"a", "b"}
    with pytest.raises(ConfigurationError, match=r"one\.sql.*other\.sql"):
        one.merged(other)


def test_queries_take_the_same_parameters_on_both_databases() -> None:
    sqlite, postgres = (CORE_QUERIES.for_dialect(dialect) for dialect in Dialect)
    for name in CORE_QUERIES.names:
        assert sqlite[name].parameter_names == postgres[name].parameter_names, name


def _names_in_code() -> set[str]:
    names = set()
    for path in Path(str(resources.files(runtara_core))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"fetch_one", "fetch_all", "execute"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "transaction"
                and isinstance(node.args[0], ast.Constant)
            ):
                names.add(node.args[0].value)
    return names


def test_code_and_sql_files_name_the_same_queries() -> None:
    known = SQLITE_QUERIES.names | QuerySet.load("runtara_core", "sql/migrations.sql").names
    used = _names_in_code()
    assert used - known == set()
    # Lists are chosen by kind and order, and events by direction.
    chosen = {name for name in known if name.startswith(("list_", "search_", "count_"))}
    assert known - used - chosen == set()
