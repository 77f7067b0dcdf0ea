"""The verbs by which hosts exchange artifacts."""

from __future__ import annotations

from runtara_environment.fetching.copies import ArtifactCopies
from runtara_environment.fetching.fetcher import ArtifactFetcher
from runtara_environment.fetching.peer import ArtifactPart
from runtara_environment.fetching.transfers import ArtifactTransfers, require_digest
from runtara_environment.registry import Image


class ArtifactExchange:
    """Serves other hosts, and spreads what is registered here."""

    def __init__(self, fetcher: ArtifactFetcher, transfers: ArtifactTransfers, copies: ArtifactCopies) -> None:
        self._fetcher = fetcher
        self._transfers = transfers
        self._copies = copies

    async def spread(self, image: Image) -> str | None:
        """Keep the artifact of a new image where it should be kept, too; returns a warning where that failed."""
        return await self._copies.spread(image.digest, image.size_bytes)

    async def read(self, digest: str, offset: int) -> ArtifactPart:
        """A part of an artifact of this host."""
        return await self._transfers.read(digest, offset)

    async def hold(self, digest: str, size_bytes: int) -> None:
        """Have an artifact on this host, fetched from where it is; raises `ArtifactUnavailableError`."""
        require_digest(digest)
        if not await self._transfers.has(digest, size_bytes):
            await self._fetcher.fetch(digest, size_bytes)
