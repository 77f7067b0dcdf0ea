"""The rows of hosts, and of the artifacts that each holds.

The clocks of hosts that share a database have to agree within a few seconds: each writes its own time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from runtara_core.database import Database, Row, Transaction
from runtara_sdk.errors import InvalidInputError

from runtara_environment.hosts.models import GONE_AFTER_MS, Host, HostState

MAX_HOSTS = 1_000
"""Most hosts that are listed, those heard of last."""

_FORGOTTEN_AFTER_MS = 7 * 24 * 3_600_000
_ARTIFACTS_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What a host says of itself when its environment starts; see `Host` for the attributes."""

    host_id: str
    owner: str
    host_name: str
    address: str | None
    version: str
    runner_type: str
    isolation: str
    max_launches: int | None = None


class HostTable:
    """The rows. `database` carries `environment_queries` and the environment's schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, identity: HostIdentity, *, now_ms: int) -> Host:
        """Write the row of a host whose environment begins; a drain that was asked for stays.

        Hosts that were not heard of for a week are forgotten.
        """

        async def work(transaction: Transaction) -> Host:
            await transaction.execute("forget_hosts", seen_before_ms=now_ms - _FORGOTTEN_AFTER_MS)
            await transaction.execute(
                "announce_host",
                host_id=identity.host_id,
                owner=identity.owner,
                host_name=identity.host_name,
                address=identity.address,
                version=identity.version,
                runner_type=identity.runner_type,
                isolation=identity.isolation,
                max_launches=identity.max_launches,
                now_ms=now_ms,
            )
            row = await transaction.fetch_one("get_host", host_id=identity.host_id)
            if row is None:
                raise AssertionError("a row that was written in this transaction is there")
            return _host(row, now_ms)

        return await self._database.run(work, operation="announce host")

    async def touch(
        self, host_id: str, owner: str, *, state: HostState, live_launches: int, now_ms: int
    ) -> Host | None:
        """Say that a host is there, and what it does; returns its row, None when it is another owner's by now."""

        async def work(transaction: Transaction) -> Host | None:
            touched = await transaction.execute(
                "touch_host",
                host_id=host_id,
                owner=owner,
                state=state.value,
                live_launches=live_launches,
                now_ms=now_ms,
            )
            row = await transaction.fetch_one("get_host", host_id=host_id) if touched else None
            return None if row is None else _host(row, now_ms)

        return await self._database.run(work, operation="touch host")

    async def list_hosts(self, *, now_ms: int) -> list[Host]:
        """The hosts, those heard of last first, at most `MAX_HOSTS`."""

        async def work(transaction: Transaction) -> list[Host]:
            rows = await transaction.fetch_all("list_hosts", page_limit=MAX_HOSTS)
            return [_host(row, now_ms) for row in rows]

        return await self._database.run(work, operation="list hosts", read_only=True)

    async def find(self, text: str, *, now_ms: int) -> Host:
        """The host that a person means: by its id, the beginning of it, or its name.

        Raises `InvalidInputError` when there is none, or several.
        """
        hosts = await self.list_hosts(now_ms=now_ms)
        exact = [host for host in hosts if host.host_id == text]
        named = [host for host in hosts if host.host_name == text]
        begun = [host for host in hosts if text and host.host_id.startswith(text)]
        # A machine may have left several data directories behind; the one that is there is meant.
        for found in (exact, [host for host in named if host.is_there], named, begun):
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(host.host_id for host in found[:5])
                raise InvalidInputError(f"{text!r} may be any of {len(found)} hosts: give one of the ids {ids}")
        raise InvalidInputError(f"there is no host {text!r}: `runtara-ctl hosts` lists those that there are")

    async def with_artifact(self, digest: str, *, limit: int, now_ms: int) -> list[Host]:
        """Hosts that are there and hold an artifact."""

        async def work(transaction: Transaction) -> list[Host]:
            rows = await transaction.fetch_all(
                "list_hosts_with_artifact", digest=digest, seen_since_ms=now_ms - GONE_AFTER_MS, page_limit=limit
            )
            return [_host(row, now_ms) for row in rows]

        return await self._database.run(work, operation="hosts with artifact", read_only=True)

    async def request_drain(self, host_id: str, *, requested_at_ms: int | None, drain_seconds: int | None) -> None:
        """Ask a host to drain, or take that back with None."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "request_drain", host_id=host_id, requested_at_ms=requested_at_ms, drain_seconds=drain_seconds
            )

        await self._database.run(work, operation="request drain")

    async def artifacts_of(self, host_id: str) -> set[str]:
        """Digests of the artifacts that a host is said to hold."""
        held: set[str] = set()
        after = ""
        while True:

            async def work(transaction: Transaction, after_digest: str = after) -> list[str]:
                rows = await transaction.fetch_all(
                    "list_held_artifacts", host_id=host_id, after_digest=after_digest, page_limit=_ARTIFACTS_PAGE
                )
                return [row["digest"] for row in rows]

            page = await self._database.run(work, operation="list held artifacts", read_only=True)
            held.update(page)
            if len(page) < _ARTIFACTS_PAGE:
                return held
            after = page[-1]

    async def change_artifacts(self, host_id: str, *, added: Iterable[str] = (), removed: Iterable[str] = ()) -> None:
        """Say that artifacts have come to a host, or gone from it."""
        for query, digests in (("add_held_artifacts", sorted(added)), ("remove_held_artifacts", sorted(removed))):
            for first in range(0, len(digests), _ARTIFACTS_PAGE):
                page = json.dumps(digests[first : first + _ARTIFACTS_PAGE])

                async def work(transaction: Transaction, query: str = query, page: str = page) -> None:
                    await transaction.execute(query, host_id=host_id, digests=page)

                await self._database.run(work, operation="held artifacts")


def _host(row: Row, now_ms: int) -> Host:
    state = HostState(row["state"])
    if state is not HostState.STOPPED and now_ms - row["last_seen_at_ms"] > GONE_AFTER_MS:
        state = HostState.GONE
    return Host(
        host_id=row["host_id"],
        owner=row["owner"],
        host_name=row["host_name"],
        address=row["address"],
        version=row["version"],
        runner_type=row["runner_type"],
        isolation=row["isolation"],
        state=state,
        live_launches=row["live_launches"],
        max_launches=row["max_launches"],
        artifact_count=row["artifact_count"],
        started_at_ms=row["started_at_ms"],
        last_seen_at_ms=row["last_seen_at_ms"],
        drain_requested_at_ms=row["drain_requested_at_ms"],
        drain_seconds=row["drain_seconds"],
    )
