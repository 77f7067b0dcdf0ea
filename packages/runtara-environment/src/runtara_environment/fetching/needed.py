"""Which artifacts the images of this environment's database have."""

from __future__ import annotations

import json
from collections.abc import Sequence

from runtara_core.database import Database, Transaction

from runtara_environment.database_identity import DatabaseIdentity
from runtara_environment.fetching.source import MAX_DIGESTS


class NeededArtifacts:
    """Asks the images of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._identity = DatabaseIdentity(database)

    async def database_id(self) -> str:
        """The name of the database, for places that several databases use."""
        return await self._identity.get()

    async def of(self, digests: Sequence[str]) -> set[str]:
        """Those of the artifacts that an image has, a deleted one too."""
        found: set[str] = set()
        for first in range(0, len(digests), MAX_DIGESTS):
            page = json.dumps(digests[first : first + MAX_DIGESTS])

            async def work(transaction: Transaction, page: str = page) -> list[str]:
                rows = await transaction.fetch_all("list_needed_artifacts", digests=page)
                return [row["digest"] for row in rows]

            found.update(await self._database.run(work, operation="needed artifacts", read_only=True))
        return found
