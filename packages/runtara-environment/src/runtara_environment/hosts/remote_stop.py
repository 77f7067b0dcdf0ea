"""Ends what another environment watches: it is told so through the database, and its answer is waited for."""

from __future__ import annotations

from runtara_core.management import CoreManagement
from runtara_core.models import Instance, LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.iso_time import iso_time

from runtara_environment.hosts.host_table import HostTable
from runtara_environment.hosts.models import Host
from runtara_environment.launch_table import LaunchTable
from runtara_environment.owner import Owner
from runtara_environment.runner import StopError

_FIRST_LOOK_SECONDS = 0.1
_LONGEST_LOOK_SECONDS = 1.0
"""Between two looks; the pause doubles from the first to this one."""

_CONFIRMED_WITHIN_SECONDS = 15.0
"""Beyond the grace: another environment looks for requests every second, and a process may be hard to kill."""

_TAKEN_WITHIN_SECONDS = 10.0
"""After the end of a lease: by then another environment has claimed the instance, and the cancel has taken effect."""


class RemoteStop:
    """Ends launches of any environment of the database."""

    def __init__(self, core: CoreManagement, launches: LaunchTable, hosts: HostTable, clock: Clock) -> None:
        self._core = core
        self._launches = launches
        self._hosts = hosts
        self._clock = clock

    async def confirm(self, instance_id: str, grace_seconds: float) -> None:
        """Have the process of an instance ended that was told to cancel; returns once it is dead and core knows.

        The environment that watches it ends it when the grace is over. When that one is gone, the cancel takes effect
        at the end of its lease. Raises `StopError` when the death cannot be confirmed, with the reason.
        """
        instance = await self._core.get_instance(instance_id)
        if instance is None:
            return
        key = LeaseKey(instance_id, instance.epoch)
        began_ms = self._clock.now_ms()
        if not instance.status.is_terminal:  # else it has obeyed already, and its process may be about to end
            await self._launches.request_stop(key, grace_ms=round(grace_seconds * 1000), now_ms=began_ms)
        pause = _FIRST_LOOK_SECONDS
        while True:
            # Read anew each time: a host that has died is known to be gone only some seconds later.
            host = await self._host_of(instance)
            is_gone = host is not None and not host.is_there
            if await self._is_over(key, is_gone=is_gone):
                break
            if is_gone:
                give_up_ms = max(began_ms, instance.lease_until_ms or 0) + round(_TAKEN_WITHIN_SECONDS * 1000)
            else:
                give_up_ms = began_ms + round((grace_seconds + _CONFIRMED_WITHIN_SECONDS) * 1000)
            if self._clock.now_ms() > give_up_ms:
                raise StopError(f"the end of instance {instance_id} is not confirmed yet{_where(host)}")
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        if is_gone and await self._launches.of_instance(instance_id):
            raise StopError(
                f"instance {instance_id} is cancelled, but nobody knows whether its process is dead{_where(host)}"
            )

    async def _is_over(self, key: LeaseKey, *, is_gone: bool) -> bool:
        # The row of the launch goes last, so core is asked but once; on a host that is gone it stays.
        if not is_gone and any(row.epoch >= key.epoch for row in await self._launches.of_instance(key.instance_id)):
            return False
        instance = await self._core.get_instance(key.instance_id)
        return instance is None or instance.status.is_terminal

    async def _host_of(self, instance: Instance) -> Host | None:
        owner = None if instance.lease_owner is None else Owner.parse(instance.lease_owner)
        hosts = [] if owner is None else await self._hosts.list_hosts(now_ms=self._clock.now_ms())
        return next((host for host in hosts if owner is not None and host.host_id == owner.host_id), None)


def _where(host: Host | None) -> str:
    if host is None:
        return ": ask for its status"
    heard_of = iso_time(host.last_seen_at_ms)
    return f": it ran on host {host.host_name}, which is {host.state} and was heard of last at {heard_of}"
