"""The random name of a database, by which its files are told from those of others that use the same data directory."""

from __future__ import annotations

import uuid

from runtara_core.database import Database, Transaction


class DatabaseIdentity:
    """The name of one database, which carries `environment_queries` and the environment's schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._database_id: str | None = None

    async def get(self) -> str:
        """32 hexadecimal digits; made on first use, never changed."""
        if self._database_id is None:
            new_id = uuid.uuid4().hex

            async def work(transaction: Transaction) -> str:
                await transaction.execute("insert_database_identity", database_id=new_id)
                row = await transaction.fetch_one("load_database_identity")
                return new_id if row is None else str(row["database_id"])

            self._database_id = await self._database.run(work, operation="database identity")
        return self._database_id
