"""The storage verbs in SQL, written once for every database: one async function a verb, over one transaction."""

from runtara_core.storages.sql.storage import CORE_QUERIES, SqlStorage

__all__ = ["CORE_QUERIES", "SqlStorage"]
