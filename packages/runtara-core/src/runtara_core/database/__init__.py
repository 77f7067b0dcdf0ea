"""Transactions over PostgreSQL or SQLite with named queries, shared by every package that keeps rows."""

from runtara_core.database.interface import Database, Row, Transaction, Work
from runtara_core.database.opening import create_database
from runtara_core.database.queries import Dialect, Query, QuerySet
from runtara_core.database.urls import DatabaseUrl, is_sql_url

__all__ = [
    "Database",
    "DatabaseUrl",
    "Dialect",
    "Query",
    "QuerySet",
    "Row",
    "Transaction",
    "Work",
    "create_database",
    "is_sql_url",
]
