"""A place where artifacts may be found by their digest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from runtara_environment.registry import ArtifactContent

MAX_DIGESTS = 1_000
"""Most artifacts that are asked about at a time."""

UNCHANGED_FOR_MS = 3_600_000
"""What was put into a place later than this is not removed: an image of it may be there in a moment."""


class ArtifactPlace(ABC):
    """One place. Whoever reads compares what came with size and digest.

    Attributes:
        name: for people; no two places have the same.
    """

    name: str

    @abstractmethod
    def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        """The artifact in blocks, from `offset` on.

        Raises `ArtifactUnavailableError` when it is not there, another `RuntaraError` when the place cannot be used.
        """


class ArtifactSource(ABC):
    """What `RUNTARA_IMAGE_SOURCES` lists: a place, or several of a kind.

    Attributes:
        name: for people.
    """

    name: str

    @abstractmethod
    async def places(self, digest: str) -> Sequence[ArtifactPlace]:
        """Where an artifact may be, the best place first.

        Raises `ArtifactUnavailableError` when it is nowhere, another `RuntaraError` when that cannot be told.
        """


class KeepingSource(ArtifactSource, ArtifactPlace):
    """A place into which new artifacts are put, too."""

    async def places(self, digest: str) -> Sequence[ArtifactPlace]:
        return (self,)

    @abstractmethod
    async def keep(self, digest: str, content: ArtifactContent) -> None:
        """Put an artifact there, whole or not at all; a damaged one is replaced. Raises `RuntaraError`."""

    @abstractmethod
    async def remove_damaged(self, digest: str, size_bytes: int) -> bool:
        """Look at an artifact once more, and take it away when it is damaged; whether it has to be put there anew.

        Raises `RuntaraError`.
        """

    @abstractmethod
    async def missing(self, digests: Sequence[str]) -> list[str]:
        """Those of up to `MAX_DIGESTS` artifacts that have to be put there. Raises `RuntaraError`."""

    @abstractmethod
    async def remove_unneeded(self, *, limit: int) -> int:
        """Remove up to `limit` artifacts that no image has; returns how many. Raises `RuntaraError`.

        Those that another database has put there, too, stay. May be killed anywhere; the next call goes on.
        """
