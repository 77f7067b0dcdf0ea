"""Loading of the query files in this folder."""

from __future__ import annotations

from runtara_core.database import QuerySet


def environment_queries() -> QuerySet:
    """What a database must carry for the image registry and the launch table."""
    return QuerySet.load("runtara_environment", "sql/environment.sql")
