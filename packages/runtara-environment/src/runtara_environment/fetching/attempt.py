"""One attempt to fetch one artifact: every place until one gives it as it should be.

A damaged artifact is known when all of its bytes have come. When they are of one place, that place is to blame, and the
others are asked. When they are of several, each is asked alone. A damaged copy in a place that Runtara writes to is
removed, so that whoever holds the artifact puts it there again; this host does when it has come from elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing

from runtara_sdk.errors import InvalidInputError, RuntaraError

from runtara_environment.fetching.damaged_places import DamagedPlaces
from runtara_environment.fetching.relay import Relay
from runtara_environment.fetching.source import ArtifactPlace, ArtifactSource, KeepingSource
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError

logger = logging.getLogger(__name__)


class Attempt:
    """Has an artifact on this host after `run`, or tells why not."""

    def __init__(
        self,
        store: ArtifactStore,
        sources: Sequence[ArtifactSource],
        damaged: DamagedPlaces,
        digest: str,
        size_bytes: int,
    ) -> None:
        self._store = store
        self._sources = sources
        self._damaged = damaged
        self._digest = digest
        self._size_bytes = size_bytes
        self._reasons: dict[str, str] = {}
        self._blamed: list[ArtifactPlace] = []

    async def run(self) -> None:
        """Fetch it; raises `ArtifactUnavailableError`, or `StorageError` when it cannot be stored here."""
        places = await self._places()
        alone = False
        while places:
            asked = places[:1] if alone else places
            relay = Relay(asked, self._digest, self._size_bytes)
            try:
                async with aclosing(relay.blocks()) as blocks:
                    await self._store.put(blocks, expected_size=self._size_bytes, expected_sha256=self._digest)
            except ArtifactUnavailableError:
                self._take_failures(relay)
                places = places[len(asked) :]
            except InvalidInputError as error:
                self._take_failures(relay)
                if not relay.givers:
                    raise ArtifactUnavailableError(error.message) from error  # no place is to blame
                if len(relay.givers) == 1:
                    self._blame(relay.givers[0], f"it is damaged: {error.message.removesuffix(': send it again')}")
                else:
                    alone = True
                places = [
                    place
                    for place in places
                    if place not in self._blamed and (place in relay.givers or place.name not in relay.failures)
                ]
            else:
                self._take_failures(relay)
                await self._settle(relay.givers)
                return
        await self._remove_damaged()
        told = "; ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
        raise ArtifactUnavailableError(told or "there is no place to fetch it from")

    async def _places(self) -> list[ArtifactPlace]:
        """Those that may be asked now."""
        found: list[ArtifactPlace] = []
        for source in self._sources:
            try:
                places = await source.places(self._digest)
            except RuntaraError as error:
                self._reasons[source.name] = error.message
                continue
            for place in places:
                if self._damaged.pause_ms(place.name, self._digest):
                    self._reasons[place.name] = "what it gave was damaged, so it is not asked again for a while"
                else:
                    found.append(place)
        return found

    def _take_failures(self, relay: Relay) -> None:
        self._reasons.update(relay.failures)
        for place in relay.short:
            self._blame(place, relay.failures[place.name])

    def _blame(self, place: ArtifactPlace, reason: str) -> None:
        self._reasons[place.name] = reason
        if place not in self._blamed:
            self._blamed.append(place)
            self._damaged.note(place.name, self._digest, reason)

    async def _settle(self, givers: Sequence[ArtifactPlace]) -> None:
        """It has come. What is damaged elsewhere is replaced."""
        logger.info("artifact %s has come from %s", self._digest[:12], ", ".join(place.name for place in givers))
        for place in givers:
            if place not in self._blamed:
                self._damaged.forget(place.name, self._digest)
        for place in await self._remove_damaged():
            try:
                await place.keep(self._digest, await self._store.open(self._digest))
            except RuntaraError as error:
                logger.warning("artifact %s is not put into the %s: %s", self._digest[:12], place.name, error.message)
            else:
                logger.info("artifact %s in the %s is replaced by a whole one", self._digest[:12], place.name)

    async def _remove_damaged(self) -> list[KeepingSource]:
        removed: list[KeepingSource] = []
        for place in self._blamed:
            if not isinstance(place, KeepingSource):
                continue
            try:
                if await place.remove_damaged(self._digest, self._size_bytes):
                    logger.warning("the damaged artifact %s is removed from the %s", self._digest[:12], place.name)
                    self._damaged.forget(place.name, self._digest)  # what is found there next is another one
                    removed.append(place)
            except RuntaraError as error:
                logger.warning(
                    "the damaged artifact %s cannot be removed from the %s: %s",
                    self._digest[:12],
                    place.name,
                    error.message,
                )
        return removed
