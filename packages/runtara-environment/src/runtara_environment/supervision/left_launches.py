"""Launches that nobody watches any more, because their environment died: who may take them, and how they are ended."""

from __future__ import annotations

from runtara_core.models import LeaseKey

from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.owner import Owner
from runtara_environment.supervision.launcher import Launcher


def is_dead(owner_name: str) -> bool:
    """Whether an owner is known to be dead; one of another host never is."""
    owner = Owner.parse(owner_name)
    return owner is not None and not owner.process.is_alive


class LeftLaunches:
    """The rows of this host, as its supervisor `owner` sees them."""

    def __init__(self, launches: LaunchTable, launcher: Launcher, owner: Owner) -> None:
        self._launches = launches
        self._launcher = launcher
        self._owner = owner

    async def of_this_host(self, *, watched: dict[str, int]) -> list[Launch]:
        """The launches to take over, newest epoch of an instance first. `watched` has the epoch of each live one."""
        rows = await self._launches.of_host(self._owner.host_id)
        return [row for row in rows if self._is_left(row, watched)]

    async def take(self, row: Launch) -> bool:
        """Become the owner of a launch; False when somebody else was faster."""
        return await self._launches.take_over(row.instance_id, row.epoch, row.owner, self._owner.name)

    async def end_older_than(self, key: LeaseKey) -> None:
        """End what is left of earlier launches, whose leases ran out before anybody came for them.

        Raises `StopError` when a process does not die: its successor must not start then.
        """
        if key.epoch <= 1:
            return
        for row in await self._launches.of_instance(key.instance_id):
            if (
                row.epoch < key.epoch
                and row.host_id == self._owner.host_id
                and self._is_left(row, {})
                and await self.take(row)
            ):
                await self.end(row)

    async def end(self, row: Launch) -> None:
        """Kill the process of a superseded launch that was taken, and forget the launch."""
        process = await self._launcher.attach(row)
        if process is not None:
            await process.stop(0)
        await self._launches.remove(row.instance_id, row.epoch)

    def _is_left(self, row: Launch, watched: dict[str, int]) -> bool:
        if row.owner == self._owner.name:  # taken over by an attempt that failed half-way
            return watched.get(row.instance_id) != row.epoch
        return is_dead(row.owner)
