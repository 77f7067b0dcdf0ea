"""Loading of the query files in this folder."""

from __future__ import annotations

from runtara_core.database import QuerySet
from runtara_core.storages.sql.credentials import CREDENTIAL_QUERIES


def environment_queries() -> QuerySet:
    """What a database must carry for the image registry, the launch table and the API keys of the port."""
    return QuerySet.load("runtara_environment", "sql/environment.sql").merged(CREDENTIAL_QUERIES)
