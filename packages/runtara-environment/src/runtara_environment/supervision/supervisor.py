"""Keeps instances running: claims what is due, launches it, watches it, and tells core how it ended.

Life of a launch: claimed (core: running, new epoch, lease) -> intended (row in the launch table) -> started (row with
the process) -> ended -> reported to core -> row removed. Killed between any two of these, the next supervisor on the
host finds out from the row and the runner which it is:

* no row: the claim's lease ends and core hands the launch out again; for an owner known to be dead, at once;
* a row: the runner finds the process (watched on), its exit (reported), or that nothing was started (due again).

Two supervisors never watch one launch: a row is taken over by a compare-and-set from a dead owner only. A process whose
lease was lost is stopped; what it still reports carries an old epoch and is refused. Before a launch, what is left of
older launches of the instance on this host is stopped. A process that lingers after its instance has left running is
stopped after the length of a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from runtara_core.management import CoreManagement
from runtara_core.models import ExitReport, LaunchClaim, LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError
from runtara_sdk.models import TerminationReason

from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.owner import Owner
from runtara_environment.runner import LaunchedProcess, StopError
from runtara_environment.settings import SupervisionSettings
from runtara_environment.supervision.exit_report import exit_report
from runtara_environment.supervision.images_elsewhere import ImagesElsewhere
from runtara_environment.supervision.launcher import Launcher, LaunchRefused
from runtara_environment.supervision.left_launches import LeftLaunches, is_dead
from runtara_environment.supervision.overdue_cancels import OverdueCancels
from runtara_environment.supervision.persistence import persist
from runtara_environment.supervision.silent_launches import SilentLaunches

logger = logging.getLogger(__name__)

_CLAIM_AGAIN_SECONDS = 1.0
_STOP_GRACE_SECONDS = 5.0
_STOP_AGAIN_SECONDS = 10.0
_LAST_GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL for a program that was told to cancel long before."""


@dataclass(slots=True)
class _Live:
    """A launch that this supervisor watches."""

    key: LeaseKey
    task: asyncio.Task[None] | None = None
    process: LaunchedProcess | None = None
    stop_reason: TerminationReason | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Task[None] | None = None
    left_running_at_ms: int | None = None


class Supervisor:
    """Runs the launches of one environment process.

    `only_instance` restricts it to one instance, for a command that must not touch others in the same database.
    """

    def __init__(
        self,
        core: CoreManagement,
        launcher: Launcher,
        launches: LaunchTable,
        owner: Owner,
        clock: Clock,
        settings: SupervisionSettings,
        *,
        only_instance: str | None = None,
    ) -> None:
        self._core = core
        self._launcher = launcher
        self._launches = launches
        self._owner = owner
        self._clock = clock
        self._settings = settings
        self._only_instance = only_instance
        self._left = LeftLaunches(launches, launcher, owner)
        self._live: dict[str, _Live] = {}
        self._has_adopted = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._renewed_at_ms = 0
        self._elsewhere = ImagesElsewhere(clock)
        self._cancels = OverdueCancels(
            core, owner.name, clock, self._end_cancelled, interval_seconds=settings.lease_ms / 3000
        )

        self._silent = SilentLaunches(
            core,
            owner.name,
            clock,
            self._cpu_usage_usec,
            self._end_silent,
            timeout_ms=settings.heartbeat_timeout_seconds * 1000,
        )

    @property
    def live_count(self) -> int:
        """Number of launches being watched."""
        return len(self._live)

    async def start(self) -> None:
        """Take over what dead owners of this host left, then claim and renew until closed."""
        await self._launches.announce_owner(self._owner.name, self._owner.host_id, now_ms=self._clock.now_ms())
        self._loops = [
            asyncio.create_task(self._adopt_then_claim(), name="claim launches"),
            asyncio.create_task(self._renew_loop(), name="renew leases"),
            asyncio.create_task(self._cancels.keep_looking(), name="look for cancels"),
        ]
        if self._settings.heartbeat_timeout_seconds:
            self._loops.append(asyncio.create_task(self._silent.keep_looking(), name="look for silent launches"))

    async def close(self, *, stop_guests: bool) -> None:
        """Stop claiming. Guests run on and are adopted by the next supervisor, unless `stop_guests`."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        live_now = list(self._live.values())
        tasks = [live.task for live in live_now if live.task is not None]
        if stop_guests and tasks:
            await asyncio.gather(*(self._stop_guest(live) for live in live_now))
            await asyncio.wait(tasks, timeout=_STOP_GRACE_SECONDS)
        all_reported = all(task.done() for task in tasks)
        tasks += [live.ending for live in live_now if live.ending is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if stop_guests and all_reported:
            with contextlib.suppress(RuntaraError):  # else the next supervisor does it
                await self._core.expire_leases(self._owner.name)
                await self._launches.forget_owner(self._owner.name)

    async def _stop_guest(self, live: _Live) -> None:
        live.stop_reason = live.stop_reason or TerminationReason.SHUTDOWN_REQUESTED
        with contextlib.suppress(StopError, TimeoutError):
            await asyncio.wait_for(live.started.wait(), _STOP_GRACE_SECONDS)
            if live.process is not None:
                await live.process.stop(_STOP_GRACE_SECONDS)

    def expect_artifact(self, image_id: str) -> None:
        """Say that the artifact of an image has come: its instances are claimed again."""
        self._elsewhere.remove(image_id)

    def expect_cancel(self) -> None:
        """Say that a cancel was sent: a process that does not obey it within its grace is ended."""
        self._cancels.ring()

    async def stop_process(self, instance_id: str, grace_seconds: float) -> bool:
        """End the process of an instance that was told to cancel; False when it does not run here.

        The process has `grace_seconds` to obey the cancel signal by itself, then it is killed. Returns once it is dead
        and core knows; raises `StopError` when that takes too long.
        """
        with contextlib.suppress(TimeoutError):  # right after a start, what runs here is not known yet
            await asyncio.wait_for(self._has_adopted.wait(), _STOP_GRACE_SECONDS)
        live = self._live.get(instance_id)
        if live is None or live.task is None:
            return False
        live.stop_reason = TerminationReason.CANCELLED
        done, _ = await asyncio.wait({live.task}, timeout=grace_seconds)
        if not done:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.started.wait(), _STOP_GRACE_SECONDS)
            if live.process is not None:
                await live.process.stop(min(grace_seconds, 1.0))
            done, _ = await asyncio.wait({live.task}, timeout=_STOP_GRACE_SECONDS)
        if not done:
            raise StopError(f"the end of instance {instance_id} is not confirmed yet: ask for its status")
        return True

    # Claiming

    async def _adopt_then_claim(self) -> None:
        await persist(self._clock, "take over launches", self._adopt)
        self._has_adopted.set()
        while True:
            try:
                await self._claim()
            except RuntaraError as error:
                logger.warning("cannot claim launches: %s", error)
                await self._clock.sleep(_CLAIM_AGAIN_SECONDS)
            except Exception:
                # Not foreseen; an environment that launches nothing any more would be worse.
                logger.exception("claiming launches went wrong")
                await self._clock.sleep(_CLAIM_AGAIN_SECONDS)

    async def _claim(self) -> None:
        await self._renew_when_due()
        without_images = self._elsewhere.now()
        # A call that still waits when this process dies must be over before its leases end: else they would be handed
        # to the dead.
        wait_ms = min(self._settings.claim_wait_ms, self._settings.lease_ms // 2)
        if without_images:
            wait_ms = min(wait_ms, self._elsewhere.change_ms() or 0)
        claims = await self._core.claim_launches(
            self._owner.name,
            limit=self._settings.claim_batch,
            lease_ms=self._settings.lease_ms,
            wait_ms=wait_ms,
            instance_id=self._only_instance,
            without_images=without_images,
        )
        for claim in claims:
            self._begin(claim)

    def _begin(self, claim: LaunchClaim) -> None:
        key = LeaseKey(claim.instance_id, claim.epoch)
        previous = self._live.get(claim.instance_id)
        live = _Live(key)
        self._live[claim.instance_id] = live
        live.task = asyncio.create_task(self._run(live, claim, previous), name=f"launch {claim.instance_id}")

    async def _run(self, live: _Live, claim: LaunchClaim, previous: _Live | None) -> None:
        try:
            if previous is not None and previous.task is not None:
                # Our own lease ran out while the process lived: it ends before its successor starts.
                self._end(previous)
                await asyncio.wait({previous.task})
            await self._launch_and_watch(live, claim)
        except Exception:
            # The row stays: the next supervisor, or the end of the lease, settles this launch.
            logger.exception("the launch of instance %s went wrong", live.key.instance_id)
        finally:
            live.started.set()
            if self._live.get(live.key.instance_id) is live:
                del self._live[live.key.instance_id]

    async def _launch_and_watch(self, live: _Live, claim: LaunchClaim) -> None:
        key = live.key
        try:
            await self._left.end_older_than(key)
            live.process = await self._launcher.launch(claim, self._owner)
        except LaunchRefused as refusal:
            if refusal.is_elsewhere:
                # Before the claim is given back: it is due at once, and would come back here.
                self._elsewhere.add(claim.image_id)
            await self._give_back(key, str(refusal), permanent=refusal.permanent, is_due=refusal.is_elsewhere)
            return
        except RuntaraError as error:
            await self._give_back(key, f"an older launch cannot be ended: {error}", permanent=False)
            return
        live.started.set()
        await self._watch(live, live.process)

    # Watching

    async def _watch(self, live: _Live, process: LaunchedProcess) -> None:
        key = live.key
        try:
            ended = await process.wait()
        except StopError as error:
            logger.error("instance %s: %s", key.instance_id, error)
            return
        if not ended.started:
            reason = ended.error or "the program could not be started"
            await self._give_back(key, reason, permanent=ended.permanent)
            return
        memory_bytes = None
        if ended.out_of_memory:
            memory_bytes = await persist(self._clock, "look up a limit", lambda: self._launcher.memory_limit(key))
        report = await exit_report(process, ended, live.stop_reason, memory_bytes)
        decision = await persist(self._clock, "report an exit", lambda: self._core.report_exit(key, report))
        logger.info(
            "instance %s epoch %d ended with exit code %s: %s",
            key.instance_id,
            key.epoch,
            ended.exit_code,
            decision.status if decision is not None and not decision.stale else "no longer ours",
        )
        await self._forget(key)

    async def _give_back(self, key: LeaseKey, error: str, *, permanent: bool, is_due: bool = False) -> None:
        """Tell core that nothing was started."""
        logger.warning("instance %s cannot be launched: %s", key.instance_id, error)
        await persist(
            self._clock,
            "report a failed launch",
            lambda: self._core.report_launch_failure(key, error, permanent=permanent, is_due=is_due),
        )
        await self._forget(key)

    async def _forget(self, key: LeaseKey) -> None:
        await persist(self._clock, "forget a launch", lambda: self._launches.remove(key.instance_id, key.epoch))

    # Ending

    def _end(self, live: _Live, grace_seconds: float = 0) -> None:
        """End the process of a launch, in the background: nobody waits for one that does not die."""
        if live.ending is None or live.ending.done():
            live.ending = asyncio.create_task(
                self._end_process(live, grace_seconds), name=f"end {live.key.instance_id}"
            )

    async def _end_cancelled(self, key: LeaseKey) -> bool:
        live = self._live.get(key.instance_id)
        if live is None or live.key != key:
            return False
        live.stop_reason = TerminationReason.CANCELLED
        self._end(live, _LAST_GRACE_SECONDS)
        return True

    async def _end_silent(self, key: LeaseKey) -> bool:
        live = self._live.get(key.instance_id)
        if live is None or live.key != key or live.process is None or live.stop_reason is not None:
            return False
        live.stop_reason = TerminationReason.HEARTBEAT_TIMEOUT
        self._end(live, _LAST_GRACE_SECONDS)
        return True

    async def _cpu_usage_usec(self, key: LeaseKey) -> int | None:
        live = self._live.get(key.instance_id)
        return None if live is None or live.process is None else await live.process.cpu_usage_usec()

    async def _end_process(self, live: _Live, grace_seconds: float) -> None:
        await live.started.wait()
        while live.process is not None:
            try:
                await live.process.stop(grace_seconds)
                return
            except StopError as error:
                logger.error("instance %s: %s", live.key.instance_id, error)
            await self._clock.sleep(_STOP_AGAIN_SECONDS)

    # Leases

    async def _renew_loop(self) -> None:
        while True:
            await self._clock.sleep(self._settings.lease_ms / 3000)
            try:
                await self._renew()
            except RuntaraError as error:
                logger.warning("cannot renew leases: %s", error)
            except Exception:
                logger.exception("renewing leases went wrong")

    async def _renew_when_due(self) -> None:
        """Before a claim: leases that ran out while core was away are ours again before they can be handed out."""
        if self._clock.now_ms() - self._renewed_at_ms > self._settings.lease_ms // 3:
            await self._renew()

    async def _renew(self) -> None:
        keys = [live.key for live in self._live.values()]
        now_ms = self._clock.now_ms()
        lost: list[LeaseKey] = []
        if keys:
            lost = await self._core.renew_leases(self._owner.name, keys, lease_ms=self._settings.lease_ms)
        self._renewed_at_ms = now_ms
        for key in lost:
            live = self._live.get(key.instance_id)
            if live is not None and live.key == key:
                await self._settle_lost(live, now_ms)

    async def _settle_lost(self, live: _Live, now_ms: int) -> None:
        key = live.key
        instance = await self._core.get_instance(key.instance_id)
        if instance is not None and instance.epoch == key.epoch:
            # The instance reported its own end, and its process is about to exit.
            if live.left_running_at_ms is None:
                live.left_running_at_ms = now_ms
            if now_ms - live.left_running_at_ms < self._settings.lease_ms:
                return
            logger.warning("instance %s is %s, its process lingers and is ended", key.instance_id, instance.status)
        else:
            logger.warning("instance %s epoch %d was taken over", key.instance_id, key.epoch)
        self._end(live)

    # Taking over

    async def _adopt(self) -> None:
        """Take over launches whose owner on this host is dead, and free what such owners had only claimed.

        In this order: leases of what may run become ours; dead owners are freed, so that nothing which gets due in the
        following is handed to a claim of theirs that still waits in core; then processes are looked for. May be
        repeated after it failed half-way.
        """
        taken = await self._take_left_launches()
        for name in await self._launches.owners_of_host(self._owner.host_id):
            if name != self._owner.name and is_dead(name):
                await self._free_claims_of(name)
        for row in taken:
            try:
                await self._adopt_launch(row)
            except RuntaraError as error:
                if error.retryable and not isinstance(error, StopError):
                    raise
                logger.error("instance %s epoch %d cannot be adopted: %s", row.instance_id, row.epoch, error)
            except Exception:
                logger.exception("instance %s epoch %d cannot be adopted", row.instance_id, row.epoch)

    async def _take_left_launches(self) -> list[Launch]:
        watched = {instance_id: live.key.epoch for instance_id, live in self._live.items()}
        taken = [
            row
            for row in await self._left.of_this_host(watched=watched)
            if self._only_instance in (None, row.instance_id) and await self._left.take(row)
        ]
        if taken:
            keys = [LeaseKey(row.instance_id, row.epoch) for row in taken]
            await self._core.renew_leases(self._owner.name, keys, lease_ms=self._settings.lease_ms)
        return taken

    async def _free_claims_of(self, dead_owner: str) -> None:
        if self._only_instance is None:
            await self._core.expire_leases(dead_owner)
            await self._launches.forget_owner(dead_owner)
            return
        instance = await self._core.get_instance(self._only_instance)
        if instance is not None and instance.lease_owner == dead_owner:
            await self._core.expire_leases(dead_owner)

    async def _adopt_launch(self, row: Launch) -> None:
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
        live = _Live(key, process=process)
        live.started.set()
        if not self._launcher.reaches_core(row):
            live.stop_reason = TerminationReason.ENVIRONMENT_RESTART
        self._live[row.instance_id] = live
        live.task = asyncio.create_task(self._watch_adopted(live, process), name=f"watch {row.instance_id}")

    async def _watch_adopted(self, live: _Live, process: LaunchedProcess) -> None:
        try:
            if live.stop_reason is not None:
                self._end(live)
            await self._watch(live, process)
        except Exception:
            logger.exception("watching instance %s went wrong", live.key.instance_id)
        finally:
            if self._live.get(live.key.instance_id) is live:
                del self._live[live.key.instance_id]
