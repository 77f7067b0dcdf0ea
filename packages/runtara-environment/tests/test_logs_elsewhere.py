"""Output that is followed over hosts: one that is there, one that cannot be asked, and one that is gone."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from runtara_core.models import ExitReport, LeaseKey
from runtara_environment.hosts import HostIdentity, HostTable
from runtara_environment.launch_table import Launch
from runtara_environment.logs import InstanceLogs, LogPiece, LogRequest
from runtara_environment.logs.elsewhere import LogsElsewhere
from runtara_environment.shim import EXIT_FILE
from runtara_environment.supervision.run_directory import choose_run_directory
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import InstanceNotFoundError, LogsNotFoundError, LogsOnOtherHostError, TransportError
from runtara_sdk.management import models as product
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, TerminationReason

INSTANCE = "instance-1"


class Hosts:
    """Two hosts with data directories of their own; `near` is asked, `far` is on the way that `open_peer` makes."""

    def __init__(self, host: SupervisedHost, directory: Path) -> None:
        self.host = host
        self.directory = directory
        self.table = HostTable(host.database)
        self.is_reachable = True
        self.asked = 0
        self.near = self._logs("near")
        self.far = self._logs("far")

    def _logs(self, name: str) -> InstanceLogs:
        host = self.host
        elsewhere = LogsElsewhere(self.table, name, lambda _: Peer(self), host.clock)  # type: ignore[arg-type,return-value]  # the way without a network
        return InstanceLogs(host.service, host.launches, self.directory / name, name, host.clock, elsewhere)

    async def announce_far(self) -> None:
        identity = HostIdentity("far", "far/1", "far", "far.example:8002", "0.1", "mock", "none")
        await self.table.announce(identity, now_ms=self.host.clock.now_ms())

    async def launch(self, name: str, text: str) -> LeaseKey:
        """A launch on a host, which has written something."""
        (claim,) = await self.host.service.claim_launches(f"{name}/1", limit=1, lease_ms=1_000)
        key = LeaseKey(INSTANCE, claim.epoch)
        await self.host.launches.record_intent(
            Launch(INSTANCE, claim.epoch, f"{name}/1", name, "mock", "/", {}, self.host.clock.now_ms())
        )
        await self.host.instances.register(INSTANCE, TENANT, epoch=claim.epoch, checkpoint_id=None)
        directory = await self._directory(name, claim.epoch)
        directory.mkdir()
        (directory / "stdout.log").write_text(text)
        return key

    async def end(
        self, name: str, key: LeaseKey, reason: TerminationReason = TerminationReason.SHUTDOWN_REQUESTED
    ) -> None:
        """The launch ends; unless its instance has, it is due at once."""
        (await self._directory(name, key.epoch) / EXIT_FILE).write_text("{}")
        await self.host.service.report_exit(key, ExitReport(reason))
        await self.host.launches.remove(INSTANCE, key.epoch)

    async def complete(self, key: LeaseKey) -> None:
        event = InstanceEvent(EventType.COMPLETED, payload=b"{}")
        await self.host.instances.report_event(INSTANCE, key.epoch, event)

    async def _directory(self, name: str, epoch: int) -> Path:
        database_id = await self.host.launches.database_id()
        return choose_run_directory(self.directory / name, TENANT, INSTANCE, database_id) / f"launch-{epoch}"

    async def ask(self, **fields: Any) -> LogPiece:
        return await self.near.read(LogRequest(INSTANCE, "stdout", **{"follows": True, **fields}))


class Peer:
    """The far host, as the near one reaches it."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def read_logs(self, instance_id: str, stream: str, **fields: Any) -> product.LogPiece:
        self._hosts.asked += 1
        if not self._hosts.is_reachable:
            raise TransportError("no answer")
        piece = await self._hosts.far.read(LogRequest(instance_id, stream, only_here=True, **fields))
        return product.LogPiece(
            instance_id,
            stream,
            piece.epoch,
            piece.offset,
            piece.data,
            piece.dropped,
            piece.ended,
            piece.next_epoch,
            piece.status,
        )


@pytest.fixture
async def hosts(host: SupervisedHost, tmp_path: Path) -> Hosts:
    await host.create()
    both = Hosts(host, tmp_path / "hosts")
    await both.announce_far()
    return both


async def test_each_launch_is_told_wherever_it_was(hosts: Hosts) -> None:
    first = await hosts.launch("near", "one")
    await hosts.end("near", first)
    (claim,) = await hosts.host.service.claim_launches("near/1", limit=1, lease_ms=1_000)
    await hosts.host.service.report_launch_failure(
        LeaseKey(INSTANCE, claim.epoch), "no disk", permanent=False, is_due=True
    )
    third = await hosts.launch("far", "three")

    newest = await hosts.ask()
    assert (newest.epoch, newest.data, newest.ended) == (3, b"three", False)
    piece = await hosts.ask(epoch=1)
    assert (piece.data, piece.ended, piece.next_epoch) == (b"one", True, 2)
    piece = await hosts.ask(epoch=2)
    assert (piece.missing, piece.ended, piece.next_epoch) == (True, True, 3)
    with pytest.raises(LogsNotFoundError):
        await hosts.ask(epoch=2, follows=False)
    piece = await hosts.ask(epoch=3, offset=2)
    assert (piece.data, piece.ended, piece.next_epoch) == (b"ree", False, None)

    await hosts.complete(third)
    await hosts.end("far", third, TerminationReason.COMPLETED)
    for epoch in (None, 3):
        piece = await hosts.ask(epoch=epoch)
        assert (piece.epoch, piece.data, piece.ended, piece.next_epoch) == (3, b"three", True, None)
        assert piece.status is InstanceStatus.COMPLETED
    assert not (await hosts.ask(epoch=4)).missing, "one that never began is no gap"
    assert (await hosts.ask(epoch=4)).ended
    with pytest.raises(LogsNotFoundError):
        await hosts.ask(epoch=5)
    asked = hosts.asked
    with pytest.raises(InstanceNotFoundError):
        await hosts.ask(epoch=3, tenant_id="another")
    assert hosts.asked == asked


async def test_a_host_that_cannot_be_asked_may_come_back(hosts: Hosts) -> None:
    await hosts.launch("far", "one")
    hosts.is_reachable = False
    with pytest.raises(LogsOnOtherHostError, match=r"far at far\.example:8002 may have output .* no answer") as refusal:
        await hosts.ask()
    assert refusal.value.retryable
    hosts.is_reachable = True
    assert (await hosts.ask()).data == b"one"


async def test_a_host_that_is_gone_leaves_a_gap_that_is_told(hosts: Hosts) -> None:
    key = await hosts.launch("far", "one")
    hosts.host.clock.advance(20_000)
    piece = await hosts.ask(epoch=1, offset=3)
    assert (piece.epoch, piece.data, piece.ended, piece.missing) == (1, b"", False, False), "it may come back"
    with pytest.raises(LogsOnOtherHostError, match="does not answer"):
        await hosts.ask(epoch=1, follows=False)
    await hosts.launch("near", "two")  # the lease has run out
    piece = await hosts.ask(epoch=key.epoch, offset=3)
    assert (piece.missing, piece.ended, piece.next_epoch) == (True, True, 2)
    assert (await hosts.ask(epoch=2)).data == b"two"
    await hosts.announce_far()
    assert (await hosts.ask(epoch=1)).data == b"one"


async def test_an_instance_that_sleeps_has_its_output_where_it_ran(hosts: Hosts) -> None:
    key = await hosts.launch("far", "one")
    await hosts.end("far", key)
    piece = await hosts.ask()
    assert (piece.epoch, piece.data, piece.ended, piece.next_epoch) == (1, b"one", True, None)
    assert piece.status is not None
    assert not piece.status.is_terminal
