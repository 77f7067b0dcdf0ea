"""Takes over what dead environments of this host have left: what runs, what ended, what was only claimed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runtara_core.management import CoreManagement
from runtara_core.models import ExitReport, LeaseKey
from runtara_sdk.errors import RuntaraError
from runtara_sdk.models import TerminationReason

from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.owner import Owner
from runtara_environment.runner import LaunchedProcess, StopError
from runtara_environment.supervision.ending import Ending
from runtara_environment.supervision.launcher import Launcher
from runtara_environment.supervision.leases import Leases
from runtara_environment.supervision.left_launches import LeftLaunches, is_dead
from runtara_environment.supervision.live_launch import LiveLaunch, LiveLaunches

logger = logging.getLogger(__name__)


class Adoption:
    """Adds to `live` the launches that dead owners of this host have left, and has each watched by `watch`."""

    def __init__(
        self,
        core: CoreManagement,
        launcher: Launcher,
        launches: LaunchTable,
        left: LeftLaunches,
        leases: Leases,
        ending: Ending,
        owner: Owner,
        live: LiveLaunches,
        watch: Callable[[LiveLaunch, LaunchedProcess], Awaitable[None]],
        *,
        only_instance: str | None,
    ) -> None:
        self._core = core
        self._launcher = launcher
        self._launches = launches
        self._left = left
        self._leases = leases
        self._ending = ending
        self._owner = owner
        self._live = live
        self._watch = watch
        self._only_instance = only_instance

    async def take_over(self) -> int:
        """Take over launches whose owner on this host is dead, and free what such owners had only claimed.

        In this order: leases of what may run become ours; dead owners are freed, so that nothing which gets due in the
        following is handed to a claim of theirs that still waits in core; then processes are looked for. May be
        repeated after it failed half-way, or while it returns how many could not be adopted for want of something here.
        """
        left = 0
        taken = await self._take_left_launches()
        for name in await self._launches.owners_of_host(self._owner.host_id):
            if name != self._owner.name and is_dead(name):
                await self._free_claims_of(name)
        for row in taken:
            try:
                await self._adopt(row)
            except RuntaraError as error:
                if error.retryable and not isinstance(error, StopError):
                    raise
                logger.error("instance %s epoch %d cannot be adopted: %s", row.instance_id, row.epoch, error)
            except Exception:
                left += 1
                logger.exception("instance %s epoch %d cannot be adopted", row.instance_id, row.epoch)
        return left

    async def _take_left_launches(self) -> list[Launch]:
        watched = {instance_id: live.key.epoch for instance_id, live in self._live.items()}
        taken = [
            row
            for row in await self._left.of_this_host(watched=watched)
            if self._only_instance in (None, row.instance_id) and await self._left.take(row)
        ]
        if taken:
            await self._leases.take([LeaseKey(row.instance_id, row.epoch) for row in taken])
        return taken

    async def _free_claims_of(self, dead_owner: str) -> None:
        if self._only_instance is None:
            await self._core.expire_leases(dead_owner)
            await self._launches.forget_owner(dead_owner)
            return
        instance = await self._core.get_instance(self._only_instance)
        if instance is not None and instance.lease_owner == dead_owner:
            await self._core.expire_leases(dead_owner)

    async def _adopt(self, row: Launch) -> None:
        if row.instance_id in self._live:
            await self._left.end(row)  # rows come newest first: this launch has been superseded
            return
        key = LeaseKey(row.instance_id, row.epoch)
        process = await self._launcher.attach(row)
        if process is None:
            report = ExitReport(reason=TerminationReason.ENVIRONMENT_RESTART)
            await self._core.report_exit(key, report)
            await self._launches.remove(row.instance_id, row.epoch)
            return
        logger.info("instance %s epoch %d adopted", row.instance_id, row.epoch)
        live = LiveLaunch(key, process=process)
        live.started.set()
        if not self._launcher.reaches_core(row):
            live.stop_reason = TerminationReason.ENVIRONMENT_RESTART
        self._live[row.instance_id] = live
        live.task = asyncio.create_task(self._watch_adopted(live, process), name=f"watch {row.instance_id}")

    async def _watch_adopted(self, live: LiveLaunch, process: LaunchedProcess) -> None:
        try:
            if live.stop_reason is not None:
                self._ending.begin(live)
            await self._watch(live, process)
        except Exception:
            logger.exception("watching instance %s went wrong", live.key.instance_id)
        finally:
            if self._live.get(live.key.instance_id) is live:
                del self._live[live.key.instance_id]
