"""Retries and forks: instances that go on where they ended, and new ones that begin with records of others."""

from __future__ import annotations

import uuid
from dataclasses import replace

from runtara_core.management import CoreManagement
from runtara_core.models import MAX_INPUT_PART_BYTES, ForkedInstance, Instance, InstanceFork, RetriedInstance
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError
from runtara_sdk.identifiers import validate_identifier
from runtara_sdk.models import InstanceStatus, SignalType

from runtara_environment.inputs import InputJudge
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.registry import Image, ImageRegistry
from runtara_environment.supervision.workspaces import Workspaces


class Restarts:
    """The verbs of restarts of one environment."""

    def __init__(
        self, core: CoreManagement, registry: ImageRegistry, workspaces: Workspaces, judge: InputJudge
    ) -> None:
        self._core = core
        self._registry = registry
        self._workspaces = workspaces
        self._judge = judge

    async def retry_instance(
        self, instance_id: str, *, retry_key: str | None = None, tenant_id: str | None = None
    ) -> RetriedInstance:
        """Let a failed or cancelled instance go on where it ended, with the files of its workspace.

        Raises `InvalidStateError` in another status, `ImageNotFoundError` when its version of its image is gone.
        """
        instance = await self._find(instance_id, tenant_id)
        if instance.status.is_terminal and instance.image_id is not None:
            options = LaunchOptions.decode(instance.launch_options)
            await self._registry.use_version(instance.image_id, instance.tenant_id, options.digest)
        return await self._core.retry_instance(instance_id, retry_key=retry_key)

    async def fork_instance(
        self,
        origin_id: str,
        *,
        instance_id: str | None = None,
        from_step: str | None = None,
        image_id: str | None = None,
        tenant_id: str | None = None,
        dry_run: bool = False,
    ) -> ForkedInstance:
        """Start an instance with input, options, files and the checkpoints of another before a step.

        The files are those that the workspace of the origin has on this host now: what they were before the step is
        not known. An `image_id` is launched in the version that it has now, with its limits and runner, else the
        origin's image in the origin's version. Limits that the start of the origin gave stay. A fork with an id is
        idempotent. With `dry_run` nothing is created.
        Another image must take the input of the origin, and find the checkpoints that are copied.
        Raises `InvalidInputError` naming the steps to fork from or the scenarios that differ, `InputRefusedError`,
        `ImageNotFoundError`, `InstanceExistsError`.
        """
        instance_id = validate_identifier("instance_id", instance_id or str(uuid.uuid4()))
        if image_id == "" or from_step == "":
            raise InvalidInputError("image_id and from_step must not be empty: leave them out")
        origin = await self._find(origin_id, tenant_id)
        options, image, origin_digest = None, None, ""
        if origin.image_id is not None:
            options = LaunchOptions.decode(origin.launch_options)
            if image_id is None:
                await self._registry.use_version(origin.image_id, origin.tenant_id, options.digest)
            else:
                image = await self._registry.use(image_id, origin.tenant_id)
                origin_digest = options.digest
                options = replace(options, digest=image.digest, image_limits=image.limits, runner=image.runner)
        fork = InstanceFork(
            instance_id=instance_id,
            origin_id=origin_id,
            from_step=from_step,
            image_id=image_id,
            launch_options=None if options is None else options.encode(),
            dry_run=True,
        )
        if dry_run or image is not None:
            planned = await self._core.fork_instance(fork)
            if image is not None and not planned.deduplicated:
                await self._require_same_scenario(origin, origin_digest, image, planned)
                await self._require_acceptable_input(origin, image)
            if dry_run:
                return planned
        has_files = await self._workspaces.has_files(origin)
        forked = await self._core.fork_instance(replace(fork, due=not has_files, dry_run=False))
        if has_files:
            await self._provide_files(origin, instance_id)
        return forked

    async def _require_same_scenario(
        self, origin: Instance, origin_digest: str, image: Image, planned: ForkedInstance
    ) -> None:
        """Refuse copies that the image could not find: the ids of records begin with that of their scenario.

        It would do again what is recorded, and nobody would be told.
        """
        scenario = await self._registry.scenario_id(image.image_id, image.digest)
        if scenario is None or planned.last_copied is None or origin.image_id is None:
            return
        recorded_by = await self._registry.scenario_id(origin.image_id, origin_digest)
        if recorded_by is None:
            # Registered by an earlier version: its records tell it, if it is compiled.
            begin, own_id, _ = planned.last_copied.partition(f"::{origin.instance_id}::")
            recorded_by = begin if own_id else None
        if recorded_by not in (None, scenario):
            raise InvalidInputError(
                f"the checkpoints of instance {origin.instance_id} are those of the scenario {recorded_by!r}; "
                f"image {image.image_id} is compiled of the scenario {scenario!r} and would not find them: "
                f"compile the new version with --scenario {recorded_by}"
            )

    async def _require_acceptable_input(self, origin: Instance, image: Image) -> None:
        schema_json = await self._registry.input_schema(image.image_id, image.digest)
        if schema_json is not None:
            text = await self._input_of(origin)
            await self._judge.require_acceptable(text, schema_json, image.tenant_id)

    async def _input_of(self, origin: Instance) -> bytes:
        if origin.input_bytes is None:
            return origin.input or b"{}"
        parts: list[bytes] = []
        for offset in range(0, origin.input_bytes, MAX_INPUT_PART_BYTES):
            part = await self._core.read_input(origin.instance_id, offset=offset, limit_bytes=MAX_INPUT_PART_BYTES)
            if part is None:
                raise InstanceNotFoundError(f"instance {origin.instance_id} not found")
            parts.append(part.data)
        return b"".join(parts)

    async def _provide_files(self, origin: Instance, instance_id: str) -> None:
        """Copy the files, then let the fork begin; made again after a death in between."""
        fork = await self._find(instance_id, origin.tenant_id)
        if fork.status is InstanceStatus.PENDING and fork.wake_at_ms is None:
            await self._workspaces.copy(origin, fork)
            await self._core.send_signal(instance_id, SignalType.RESUME)

    async def _find(self, instance_id: str, tenant_id: str | None) -> Instance:
        instance = await self._core.get_instance(instance_id, tenant_id=tenant_id)
        if instance is None:
            raise InstanceNotFoundError(f"instance {instance_id} not found")
        return instance
