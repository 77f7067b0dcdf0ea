"""From a claim to a process: the artifact, the run directory, the row of ownership, the spawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from runtara_core.models import LaunchClaim, LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import ImageNotFoundError, InvalidInputError, RuntaraError

from runtara_environment.fetching import ArtifactFetcher
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.limit_policy import LimitPolicy, unenforceable
from runtara_environment.owner import Owner
from runtara_environment.registry import ArtifactUnavailableError, ImageRegistry, SignatureRefusedError
from runtara_environment.runner import LaunchedProcess, LaunchError, LaunchSpec, Runner
from runtara_environment.runners.available import AvailableRunners, ReadyRunner, RunnerUnavailableError
from runtara_environment.runners.launch_directory import old_launches, remove_launches
from runtara_environment.runners.loading import LoadedRunners
from runtara_environment.supervision.guest import CoreAccess, guest_environment
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.supervision.images_elsewhere import LOOK_AGAIN_MS
from runtara_environment.supervision.input_file import ReadInput, write_input
from runtara_environment.supervision.refused_signatures import RefusedSignatures
from runtara_environment.supervision.run_directory import choose_run_directory

logger = logging.getLogger(__name__)


class _StartUnknown(Exception):  # noqa: N818 - the row stays, so that the launch is settled later
    """A program may have been started."""


class LaunchRefused(Exception):  # noqa: N818 - a decision, handled where the claim is given back
    """A claimed launch that was not started.

    Attributes:
        permanent: trying again is useless.
        is_elsewhere: what is started of the image cannot be launched on this host, and may be on another.
        pause_ms: how long the image is left to others then.
    """

    def __init__(
        self, message: str, *, permanent: bool, is_elsewhere: bool = False, pause_ms: int = LOOK_AGAIN_MS
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.is_elsewhere = is_elsewhere
        self.pause_ms = pause_ms


class Launcher:
    """Starts the programs of claims, each with its runner, and finds those of any installed one.

    Attributes:
        refused_signatures: the images that were not launched for their signature.
    """

    def __init__(
        self,
        registry: ImageRegistry,
        launches: LaunchTable,
        runners: LoadedRunners,
        available: AvailableRunners,
        core: CoreAccess,
        data_dir: Path,
        clock: Clock,
        *,
        default_timeout_seconds: int,
        limits: LimitPolicy | None = None,
        network: GuestNetwork | None = None,
        bundles_directory: Path | None = None,
        read_input: ReadInput | None = None,
        fetcher: ArtifactFetcher | None = None,
    ) -> None:
        self._registry = registry
        self._launches = launches
        self._runners = runners
        self._available = available
        self._core = core
        self._data_dir = data_dir
        self._clock = clock
        self._default_timeout_seconds = default_timeout_seconds
        self._network = network or GuestNetwork()
        self._limits = limits or LimitPolicy()
        self._read_input = read_input
        self._bundles_directory = bundles_directory or data_dir / "bundles"
        self._fetcher = fetcher
        self._expect_artifact: Callable[[str], None] = lambda _: None
        self.refused_signatures = RefusedSignatures(registry, clock)

    def on_arrival(self, expect_artifact: Callable[[str], None]) -> None:
        """Say who wants to know that an artifact of an image has been fetched; it is given the id of the image."""
        self._expect_artifact = expect_artifact

    async def launch(self, claim: LaunchClaim, owner: Owner) -> LaunchedProcess:
        """Start the program of a claim; raises `LaunchRefused` when it was not started.

        The row of ownership is written before the spawn and completed after it.
        """
        try:
            options = LaunchOptions.decode(claim.launch_options)
            ready = await self._available.get(options.runner)
            spec = await self._specification(claim, options, ready)
            await self._launches.record_intent(
                Launch(
                    instance_id=claim.instance_id,
                    epoch=claim.epoch,
                    owner=owner.name,
                    host_id=owner.host_id,
                    runner_type=ready.name,
                    run_directory=str(spec.run_directory),
                    state={**ready.runner.planned_state(spec), **self._further_state(spec)},
                    created_at_ms=self._clock.now_ms(),
                )
            )
            process = await self._start(ready.runner, spec)
        except LaunchError as error:
            raise LaunchRefused(error.message, permanent=error.permanent) from error
        except SignatureRefusedError as error:
            raise await self._refusal_of_signature(claim, error) from error
        except ArtifactUnavailableError as error:
            # Others are left all of an image: one old version that is lost must not hold up the rest of it here.
            is_elsewhere = not await self._has_current_version(claim)
            fetching = await self._begin_fetch(claim, options)
            raise LaunchRefused(f"{error.message}{fetching}", permanent=False, is_elsewhere=is_elsewhere) from error
        except RunnerUnavailableError as error:
            is_elsewhere = await self._names_runner_now(claim, options)
            raise LaunchRefused(error.message, permanent=False, is_elsewhere=is_elsewhere) from error
        except (ImageNotFoundError, InvalidInputError) as error:
            raise LaunchRefused(error.message, permanent=True) from error
        except RuntaraError as error:
            raise LaunchRefused(error.message, permanent=False) from error
        except OSError as error:
            raise LaunchRefused(
                f"cannot prepare {error.filename or self._data_dir}: {error.strerror or error}", permanent=False
            ) from error
        except _StartUnknown:
            raise
        except Exception as error:
            # Such as no memory, no thread, a damaged file: nothing was started, and the program is not to blame.
            logger.exception("the launch of instance %s cannot be prepared", claim.instance_id)
            raise LaunchRefused(f"cannot prepare the launch: {error!r}", permanent=False) from error
        try:
            await self._launches.record_started(
                claim.instance_id, claim.epoch, {**process.state, **self._further_state(spec)}
            )
        except RuntaraError as error:
            # The intent is enough to find the process again.
            logger.warning("launch of instance %s is not recorded yet: %s", claim.instance_id, error)
        await self._remove_old_launches(claim.instance_id, spec.run_directory)
        return process

    async def _start(self, runner: Runner, spec: LaunchSpec) -> LaunchedProcess:
        try:
            return await runner.launch(spec)
        except LaunchError:
            raise
        except Exception as error:
            # A runner raises `LaunchError` when it has started nothing; after anything else it may have.
            try:
                process = await runner.attach(runner.planned_state(spec))
            except Exception as unknown:  # noqa: BLE001 - told with its cause
                raise _StartUnknown(f"nobody knows whether {spec.instance_id} was started: {unknown!r}") from error
            if process is None:
                raise
            logger.warning("instance %s was started all the same: %r", spec.instance_id, error)
            return process

    async def _refusal_of_signature(self, claim: LaunchClaim, error: SignatureRefusedError) -> LaunchRefused:
        """The artifact may be here, and fetching it would not sign it."""
        if await self._has_current_version(claim):
            return LaunchRefused(error.message, permanent=False)
        pause_ms = self.refused_signatures.refuse(claim.image_id, error)
        return LaunchRefused(
            f"{error.message}; this host tries it again in {-(-pause_ms // 1000)} s, or when it is registered again",
            permanent=False,
            is_elsewhere=True,
            pause_ms=pause_ms,
        )

    async def _begin_fetch(self, claim: LaunchClaim, options: LaunchOptions) -> str:
        """Have the missing artifact of a claim fetched, in the background; returns what to add to the reason."""
        if self._fetcher is None:
            return ""
        try:
            image = await self._registry.get_version(claim.image_id, claim.tenant_id, options.digest)
        except RuntaraError as error:
            return f"; it cannot be fetched: {error.message}"
        expect = partial(self._expect_artifact, claim.image_id)
        return f"; {self._fetcher.begin(image.digest, image.size_bytes, expect)}"

    async def _has_current_version(self, claim: LaunchClaim) -> bool:
        try:
            await self._registry.resolve(claim.image_id, claim.tenant_id)
        except RuntaraError:
            return False
        return True

    async def _names_runner_now(self, claim: LaunchClaim, options: LaunchOptions) -> bool:
        """Whether all that is started of the image has the same runner as this instance."""
        try:
            image = await self._registry.get(claim.image_id, claim.tenant_id)
        except RuntaraError:
            return False
        return (image.runner, image.limits) == (options.runner, options.image_limits)

    def _further_state(self, spec: LaunchSpec) -> dict[str, object]:
        return {"core_address": self._core.address, "memory_bytes": spec.limits.memory_bytes}

    async def memory_limit(self, key: LeaseKey) -> int | None:
        """The memory that a launch may have, in bytes; None when that is not known any more, or not bounded."""
        for row in await self._launches.of_instance(key.instance_id):
            limit = row.state.get("memory_bytes")
            if row.epoch == key.epoch and isinstance(limit, int):
                return limit
        return None

    async def _remove_old_launches(self, instance_id: str, run_directory: Path) -> None:
        """Keep the files of the newest launches only, and of those whose end has not been reported yet."""
        try:
            old = await asyncio.to_thread(old_launches, run_directory)
            if old:
                unfinished = {row.epoch for row in await self._launches.of_instance(instance_id)}
                await asyncio.to_thread(
                    remove_launches, run_directory, [each for each in old if each not in unfinished]
                )
        except (OSError, RuntaraError) as error:
            logger.warning("old launches of instance %s are not removed: %s", instance_id, error)

    async def attach(self, row: Launch) -> LaunchedProcess | None:
        """Find the process, or the end, of a launch that an earlier environment made."""
        return await self._runners.get(row.runner_type).attach(row.state)

    def reaches_core(self, row: Launch) -> bool:
        """Whether the program of a launch was given an address at which core is now."""
        state: Mapping[str, object] = row.state
        return self._core.is_reached_at(state.get("core_address"))

    async def _specification(self, claim: LaunchClaim, options: LaunchOptions, ready: ReadyRunner) -> LaunchSpec:
        problem = unenforceable(options.asked_limits, ready.name, ready.probe)
        if problem is not None:
            raise RunnerUnavailableError(problem)
        artifact = await self._registry.resolve(claim.image_id, claim.tenant_id, digest=options.digest)
        run_directory = await asyncio.to_thread(
            choose_run_directory,
            self._data_dir,
            claim.tenant_id,
            claim.instance_id,
            await self._launches.database_id(),
        )
        input_path = await write_input(run_directory, claim, self._read_input)
        return LaunchSpec(
            instance_id=claim.instance_id,
            tenant_id=claim.tenant_id,
            epoch=claim.epoch,
            argv=tuple(artifact.argv),
            environment={
                **guest_environment(claim, options, self._core, run_directory, input_path),
                **await self._network.variables(),
            },
            run_directory=run_directory,
            limits=self._limits.of_launch(options.asked_limits, ready.runner.default_limits, ready.probe),
            network=ready.network,
            timeout_seconds=options.timeout_seconds or self._default_timeout_seconds,
            files=(*artifact.files(), *self._core.files()),
            bundles_directory=self._bundles_directory,
            core_address=self._core.address,
        )
