"""A place where artifacts may be found by their digest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from runtara_environment.registry import ArtifactContent


class ArtifactSource(ABC):
    """One place. Whoever reads compares what came with size and digest.

    Attributes:
        name: for people.
    """

    name: str

    @abstractmethod
    def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        """The artifact in blocks.

        Raises `ArtifactUnavailableError` when it is not there, another `RuntaraError` when the place cannot be used.
        """


class KeepingSource(ArtifactSource):
    """A place into which new artifacts are put, too."""

    @abstractmethod
    async def keep(self, digest: str, content: ArtifactContent) -> None:
        """Put an artifact there, whole or not at all; the same again changes nothing. Raises `RuntaraError`."""
