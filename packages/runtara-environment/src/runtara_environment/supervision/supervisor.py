"""Keeps instances running: claims what is due, launches it, watches it, and tells core how it ended.

Life of a launch: claimed (core: running, new epoch, lease) -> intended (row in the launch table) -> started (row with
the process) -> ended -> reported to core -> row removed. Killed between any two of these, the next supervisor on the
host finds out from the row and the runner which it is:

* no row: the claim's lease ends and core hands the launch out again; for an owner known to be dead, at once;
* a row: the runner finds the process (watched on), its exit (reported), or that nothing was started (due again).

Two supervisors never watch one launch: a row is taken over by a compare-and-set from a dead owner only. A process whose
lease was lost is stopped; what it still reports carries an old epoch and is refused. Before a launch, what is left of
older launches of the instance on this host is stopped. A process that lingers after its instance has left running is
stopped after half a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from runtara_core.management import CoreManagement
from runtara_core.models import LaunchClaim, LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError
from runtara_sdk.models import TerminationReason

from runtara_environment.launch_table import LaunchTable
from runtara_environment.owner import Owner
from runtara_environment.runner import LaunchedProcess, StopError
from runtara_environment.settings import SupervisionSettings
from runtara_environment.supervision.adoption import Adoption
from runtara_environment.supervision.core_absence import until_core_is_away
from runtara_environment.supervision.drain import Drain
from runtara_environment.supervision.ending import STOP_GRACE_SECONDS, Ending
from runtara_environment.supervision.exit_report import exit_report
from runtara_environment.supervision.images_elsewhere import ImagesElsewhere
from runtara_environment.supervision.launch_room import LaunchRoom
from runtara_environment.supervision.launcher import Launcher, LaunchRefused
from runtara_environment.supervision.leases import Leases
from runtara_environment.supervision.left_launches import LeftLaunches
from runtara_environment.supervision.live_launch import LiveLaunch, LiveLaunches
from runtara_environment.supervision.overdue_cancels import OverdueCancels
from runtara_environment.supervision.persistence import persist
from runtara_environment.supervision.refused_signatures import LOOK_AGAIN_MS as SIGNATURES_AGAIN_MS
from runtara_environment.supervision.silent_launches import SilentLaunches
from runtara_environment.supervision.told_reasons import ToldReasons
from runtara_environment.supervision.unwatched_claims import UnwatchedClaims

logger = logging.getLogger(__name__)

_CLAIM_AGAIN_SECONDS = 1.0
_ADOPT_TRIES = 5
_PREDECESSOR_SECONDS = 30.0
_LOOK_FOR_CANCELS_SECONDS = 1.0
_ARRIVALS_MS = 1_000
"""How long a claim waits at most that leaves images out."""


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
        self._live: LiveLaunches = {}
        self._room = LaunchRoom(self._live, settings.max_launches)
        self._ending = Ending(self._live, clock)
        self._leases = Leases(core, owner.name, clock, settings.lease_ms, self._live, self._ending)
        self._adoption = Adoption(
            core,
            launcher,
            launches,
            self._left,
            self._leases,
            self._ending,
            owner,
            self._live,
            self._watch,
            only_instance=only_instance,
        )
        launcher.on_arrival(self.expect_artifact)
        self._has_adopted = asyncio.Event()
        self._claiming: asyncio.Task[None] | None = None
        self._unwatched = UnwatchedClaims(core, launches, owner.name, clock, settings.lease_ms, self._live)
        self._giving_back: asyncio.Task[None] | None = None
        self._is_drained = False
        self._loops: list[asyncio.Task[None]] = []
        self._elsewhere = ImagesElsewhere(clock)
        self._told = ToldReasons()
        self._refused = launcher.refused_signatures
        self._cancels = OverdueCancels(
            core,
            owner.name,
            clock,
            self._ending.begin_cancelled,
            launches.requested_stops,
            is_needed=lambda: bool(self._live),
            interval_seconds=_LOOK_FOR_CANCELS_SECONDS,
        )
        self._silent = SilentLaunches(
            core,
            owner.name,
            clock,
            self._ending.cpu_usage_usec,
            self._ending.begin_silent,
            timeout_ms=settings.heartbeat_timeout_seconds * 1000,
        )

    @property
    def live_count(self) -> int:
        """Number of launches being watched."""
        return len(self._live)

    @property
    def is_drained(self) -> bool:
        """Whether a drain has left nothing here, and nothing was claimed since."""
        return self._is_drained

    async def start(self, *, claims: bool = True) -> None:
        """Take over what dead owners of this host left, then claim, unless told not to, and renew until closed."""
        await self._launches.announce_owner(self._owner.name, self._owner.host_id, now_ms=self._clock.now_ms())
        if claims:
            self.claim_again()
        self._loops = [
            asyncio.create_task(self._adopt(), name="take over launches"),
            asyncio.create_task(self._leases.keep_renewing(), name="renew leases"),
            asyncio.create_task(self._cancels.keep_looking(), name="look for cancels"),
        ]
        if self._settings.heartbeat_timeout_seconds:
            self._loops.append(asyncio.create_task(self._silent.keep_looking(), name="look for silent launches"))

    async def close(self, *, stop_guests: bool) -> None:
        """Stop claiming. Guests run on and are adopted by the next supervisor, unless `stop_guests`."""
        claims = [task for task in (self._claiming, self._giving_back) if task is not None]
        self._stop_claiming()
        self._stop_giving_back()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, *claims, return_exceptions=True)
        if not stop_guests:
            await self._leases.leave()
        live_now = list(self._live.values())
        tasks = [live.task for live in live_now if live.task is not None]
        if stop_guests and tasks:
            await asyncio.gather(*(self._ending.stop(live, TerminationReason.SHUTDOWN_REQUESTED) for live in live_now))
            await asyncio.wait(tasks, timeout=STOP_GRACE_SECONDS)
        all_reported = all(task.done() for task in tasks)
        tasks += [live.ending for live in live_now if live.ending is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if (stop_guests or self._is_drained) and all_reported:
            with contextlib.suppress(RuntaraError):  # else the next supervisor does it
                await self._core.expire_leases(self._owner.name)
                await self._launches.forget_owner(self._owner.name)

    async def drain(self, seconds: float) -> int:
        """Claim no more, and let what runs suspend, for up to `seconds`; what does not obey is ended then.

        Returns how many launches have not ended even so. Instances of what has ended are due at once. May be repeated,
        and has to be while `is_drained` says no: what dead environments have left may not be known yet. Returns early
        when core is away, since nothing can suspend then; what runs is left running.
        """
        self._stop_claiming()
        self._is_drained = False
        draining = asyncio.create_task(self._drain(seconds), name="drain launches")
        watching = asyncio.create_task(until_core_is_away(self._core, self._clock), name="see whether core is away")
        try:
            await asyncio.wait({draining, watching}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                return draining.result()
        finally:
            draining.cancel()
            watching.cancel()
            await asyncio.gather(draining, watching, return_exceptions=True)
        logger.warning("core is away, so nothing can suspend: %d launches are left running", len(self._live))
        return len(self._live)

    async def _drain(self, seconds: float) -> int:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_adopted.wait(), seconds)
        has_adopted = self._has_adopted.is_set()
        if has_adopted and self._giving_back is None:
            self._giving_back = asyncio.create_task(self._unwatched.keep_giving_back(), name="give back claims")
        seconds_left = max(0.0, give_up - loop.time())
        left = await Drain(self._core, self._live, self._ending, self._clock).run(seconds_left)
        self._is_drained = has_adopted and left == 0
        return left

    def claim_again(self) -> None:
        """Take a drain back: claim from now on. Does nothing while it claims."""
        self._is_drained = False
        self._stop_giving_back()
        if self._claiming is None:
            self._claiming = asyncio.create_task(self._keep_claiming(), name="claim launches")

    def _stop_claiming(self) -> None:
        # What core hands out to a call that is given up is given back by a drain, else when its lease ends.
        if self._claiming is not None:
            self._claiming.cancel()
            self._claiming = None

    def _stop_giving_back(self) -> None:
        if self._giving_back is not None:
            self._giving_back.cancel()
            self._giving_back = None

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
            await asyncio.wait_for(self._has_adopted.wait(), STOP_GRACE_SECONDS)
        return await self._ending.confirm_cancelled(instance_id, grace_seconds)

    # Claiming

    async def _adopt(self) -> None:
        for tries_left in reversed(range(_ADOPT_TRIES)):
            try:
                left = await persist(self._clock, "take over launches", self._adoption.take_over)
            except Exception:
                # Not foreseen, and nothing is claimed before it is done: better late than never.
                logger.exception("taking over launches went wrong")
                await self._clock.sleep(_CLAIM_AGAIN_SECONDS)
                continue
            if not left:
                break
            if tries_left:  # such as of descriptors or memory: their leases are kept meanwhile
                await self._clock.sleep(_CLAIM_AGAIN_SECONDS)
        self._has_adopted.set()

    async def _keep_claiming(self) -> None:
        await self._has_adopted.wait()
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
        await self._room.wait()
        await self._leases.renew_when_due()
        for image_id in await self._refused.registered_again():
            self._elsewhere.remove(image_id)
        without_images = self._elsewhere.now()
        # A call that still waits when this process dies must be over before its leases end: else they would be handed
        # to the dead.
        wait_ms = min(self._settings.claim_wait_ms, self._settings.lease_ms // 2)
        if without_images:
            # A claim that waits does not learn that an artifact has come.
            wait_ms = min(wait_ms, self._elsewhere.change_ms() or 0, _ARRIVALS_MS)
            if self._refused:
                wait_ms = min(wait_ms, SIGNATURES_AGAIN_MS)
        claims = await self._core.claim_launches(
            self._owner.name,
            limit=self._room.of(self._settings.claim_batch),
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
        live = LiveLaunch(key)
        self._live[claim.instance_id] = live
        live.task = asyncio.create_task(self._run(live, claim, previous), name=f"launch {claim.instance_id}")

    async def _run(self, live: LiveLaunch, claim: LaunchClaim, previous: LiveLaunch | None) -> None:
        try:
            if previous is not None and previous.task is not None:
                # Our own lease ran out while the process lived: it ends before its successor starts.
                self._ending.begin(previous)
                ended, _ = await asyncio.wait({previous.task}, timeout=_PREDECESSOR_SECONDS)
                if not ended:
                    await self._give_back(live.key, "the process of an earlier launch does not die", permanent=False)
                    return
            await self._launch_and_watch(live, claim)
        except Exception:
            # The row stays: the next supervisor, or the end of the lease, settles this launch.
            logger.exception("the launch of instance %s went wrong", live.key.instance_id)
        finally:
            live.started.set()
            if self._live.get(live.key.instance_id) is live:
                del self._live[live.key.instance_id]

    async def _launch_and_watch(self, live: LiveLaunch, claim: LaunchClaim) -> None:
        key = live.key
        try:
            await self._left.end_older_than(key)
            live.process = await self._launcher.launch(claim, self._owner)
        except LaunchRefused as refusal:
            # Before the claim is given back: what is due at once would come back here.
            is_due = refusal.is_elsewhere and self._elsewhere.add(claim.image_id, refusal.pause_ms)
            await self._give_back(key, str(refusal), permanent=refusal.permanent, is_due=is_due)
            return
        except (OSError, RuntaraError) as error:  # such as a full disk: it passes, and is no fault of the program
            await self._give_back(key, f"an older launch cannot be ended: {error}", permanent=False)
            return
        live.started.set()
        await self._watch(live, live.process)

    # Watching

    async def _watch(self, live: LiveLaunch, process: LaunchedProcess) -> None:
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
        self._told.forget(key.instance_id)
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
        if self._told.is_new(key.instance_id, error):
            logger.warning("instance %s cannot be launched: %s", key.instance_id, error)
        if permanent:
            self._told.forget(key.instance_id)
        await persist(
            self._clock,
            "report a failed launch",
            lambda: self._core.report_launch_failure(key, error, permanent=permanent, is_due=is_due),
        )
        await self._forget(key)

    async def _forget(self, key: LeaseKey) -> None:
        await persist(self._clock, "forget a launch", lambda: self._launches.remove(key.instance_id, key.epoch))
