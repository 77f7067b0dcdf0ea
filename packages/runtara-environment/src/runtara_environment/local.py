"""Core and environment in one process: what `runtara run` and `runtara dev` stand on."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtara_core.daemon import CoreDaemon
from runtara_core.database import create_database, is_sql_url
from runtara_core.management_service import ManagementService
from runtara_core.models import CheckpointFilter, EventFilter, Instance
from runtara_core.settings import CoreSettings
from runtara_core.storages import open_storage
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.models import InstanceStatus, SignalType
from runtara_sdk.services import CompiledScenario, Progress, RunOutcome
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.local import remove_stale
from runtara_sdk.transport.places import CORE_SOCKET, socket_path
from runtara_sdk.written_decimal import dump_json, read_decimal

from runtara_environment.environment import Environment
from runtara_environment.event_lines import event_line
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.registry import ArtifactUnavailableError, Image
from runtara_environment.runners.available import RunnerUnavailableError
from runtara_environment.runners.loading import load_runners
from runtara_environment.settings import (
    HostSettings,
    ImageSettings,
    InputCheckSettings,
    RegistrySettings,
    SupervisionSettings,
    max_input_bytes,
)
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision.guest import CoreAccess

_POLL_SECONDS = 0.02
_POLLS_PER_LOOK_AT_EVENTS = 10
_EVENTS_PAGE = 100
_CHECKPOINTS_PAGE = 20
_LOCAL_TIMEOUT_SECONDS = 24 * 3600
_PASSED_ON = ("CONNECTION_SERVICE_URL", "SSL_CERT_FILE")
"""Of this process's variables the program of a run gets these, too."""


def default_database_url(data_dir: Path) -> str:
    """The SQLite file of a data directory, as a plain path: in a URL `%` and `?` would mean something else."""
    return str(data_dir.absolute() / "runtara.db")


def environment_database_url(data_dir: Path, database_url: str) -> str:
    """Where the tables of the environment are: in core's database, or in a file beside a storage of a plugin.

    The file is named after the storage, since launches of one core mean nothing to another; a password does not count.
    """
    if is_sql_url(database_url):
        return database_url
    place = re.sub(r"//[^/]*@", "//", database_url, count=1)
    digest = hashlib.sha256(place.encode()).hexdigest()
    return str(data_dir.absolute() / f"environment-{digest[:16]}.db")


@asynccontextmanager
async def local_environment(
    data_dir: Path,
    database_url: str | None,
    settings: SupervisionSettings,
    *,
    clock: Clock | None = None,
    bind_address: str | None = None,
    core_port: int = 0,
    only_instance: str | None = None,
    registry_settings: RegistrySettings | None = None,
) -> AsyncIterator[tuple[CoreDaemon, Environment]]:
    """A core and an environment, on one database if it can be; the environment does not claim before its `start`.

    The variables of the core daemon hold here, too. Guests reach core by its local socket; a port for others is opened
    at `bind_address` alone. With `only_instance` nobody else connects: then the socket has a name that no other process
    takes, be its id the same in another container.

    Guests are stopped at the end: their core goes away with this process. They go on at the next start.
    """
    clock = clock or SystemClock()
    database_url = database_url or default_database_url(data_dir)
    core_settings = replace(
        CoreSettings.from_environment(database_url=database_url, data_dir=data_dir),
        bind_address=bind_address,
        instance_port=core_port,
    )
    core = CoreDaemon(
        core_settings,
        clock=clock,
        serve_management=False,
        instance_port_setting="--core-port",
        socket_name=CORE_SOCKET if only_instance is None else f"core-{secrets.token_hex(4)}.sock",
    )
    if only_instance is not None:
        # Of runs that were killed; each had a name of its own.
        await asyncio.to_thread(remove_stale, socket_path(data_dir, CORE_SOCKET).parent, CORE_SOCKET)
    await core.start()
    try:
        environment = Environment(
            create_database(environment_database_url(data_dir, database_url), environment_queries()),
            core.management,
            _core_access(core),
            data_dir.absolute(),
            clock,
            settings,
            trusts_programs=True,
            max_input_bytes=max_input_bytes(EnvironmentReader()),
            input_checks=InputCheckSettings.from_environment(),
            host=HostSettings.from_environment(),
            images=ImageSettings.from_environment(),
            registry_settings=registry_settings,
        )
        try:
            await environment.open(only_instance=only_instance)
            yield core, environment
        finally:
            await environment.close(stop_guests=True)
    finally:
        await core.close()


def _core_access(core: CoreDaemon) -> CoreAccess:
    if core.local_address is not None:
        return CoreAccess(address=core.local_address, ca_file=None)
    return CoreAccess(address=core.instance_address, ca_file=core.identity.ca_path)


class LocalPlatform:
    """Runs artifacts on a core and an environment in this process (see `runtara_sdk.services.LocalPlatform`)."""

    async def require_plugins(self, *, runner: str | None, database_url: str | None) -> None:
        """Refuse a runner or a database URL for which no plugin is installed."""
        if runner is not None and runner != "auto":
            (await asyncio.to_thread(load_runners)).get(runner)
        if database_url is not None:
            await open_storage(database_url)

    async def run_artifact(
        self,
        artifact: CompiledScenario,
        *,
        tenant_id: str,
        instance_id: str | None,
        input_envelope: Mapping[str, Any] | None,
        data_dir: Path,
        database_url: str | None,
        runner: str | None,
        progress: Progress,
    ) -> RunOutcome:
        """Run one instance to its end, resuming the instance `instance_id` when it exists and is unfinished."""
        instance_id = refuse_empty("instance_id", instance_id) or str(uuid.uuid4())
        settings = SupervisionSettings.from_environment(default_timeout_seconds=_LOCAL_TIMEOUT_SECONDS)
        if runner is not None:
            settings = replace(settings, runner=runner)
        async with local_environment(data_dir, database_url, settings, only_instance=instance_id) as (
            core,
            environment,
        ):
            known = await core.management.get_instance(instance_id)
            if known is not None and known.tenant_id != tenant_id:
                raise InvalidInputError(f"instance {instance_id} belongs to another tenant; choose another id")
            version = _other_version(known, artifact) if known is not None else None
            if known is not None:
                await _require_same_scenario(environment, known, artifact.scenario_id)
            if known is not None and known.status.is_terminal:
                under = f", under another version of the scenario ({version})" if version else ""
                progress(f"instance {instance_id} had finished before{under}")
                if version:
                    progress(f"the result is that of then; to run what {artifact.scenario_id} is now, give another id")
                return _outcome(known, already_finished=True, other_version=version)
            if version:
                progress(f"what was compiled now is not used: the instance keeps what it was started with ({version})")
            if known is None:
                named = None if settings.runner == "auto" else settings.runner
                await self._start(environment, artifact, tenant_id, instance_id, input_envelope, named)
            else:
                named = _named_runner(known)
                _require_same_runner(known, named, asked_for=runner)
                await _require_artifact(environment, known, artifact)
                progress(f"resuming instance {instance_id}, {known.checkpoint_count} checkpoints done")
                if input_envelope is not None and _is_other_input(known, input_envelope):
                    progress("the input given now is ignored: the instance keeps the one it was started with")
                if known.status is InstanceStatus.SUSPENDED and known.wake_at_ms is None:
                    await core.management.send_signal(instance_id, SignalType.RESUME)
            if await _isolation(environment, instance_id, named) == "none":
                progress(f"instance {instance_id} runs as a plain process (isolation: none)")
            since_ms = SystemClock().now_ms()
            await environment.start()
            return _outcome(await _follow(core.management, instance_id, progress, since_ms=since_ms))

    @staticmethod
    async def _start(
        environment: Environment,
        artifact: CompiledScenario,
        tenant_id: str,
        instance_id: str,
        input_envelope: Mapping[str, Any] | None,
        runner: str | None,
    ) -> None:
        image = await _register(environment, artifact, tenant_id, runner)
        await environment.service.start_instance(
            image.image_id,
            tenant_id,
            instance_id=instance_id,
            input_json=dump_json(dict(input_envelope or {}), ensure_ascii=False).encode(),
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )


async def _register(environment: Environment, artifact: CompiledScenario, tenant_id: str, runner: str | None) -> Image:
    """Point the name of the scenario to its artifact.

    The runner that was named goes with it: another environment that takes the instance over must not choose its own,
    which may isolate less. The next registration without a runner leaves new instances to the environment again; those
    that exist keep theirs.
    """
    return await environment.registry.register_file(
        artifact.artifact_path,
        tenant_id=tenant_id,
        name=artifact.scenario_id,
        runner=runner,
        expected_size=artifact.artifact_bytes,
        expected_sha256=artifact.artifact_sha256,
    )


async def _require_artifact(environment: Environment, known: Instance, artifact: CompiledScenario) -> None:
    """Have what a known instance is launched from, which nobody else will bring while this command waits.

    What was compiled now takes its place when it is the same; else raises `InvalidInputError`.
    """
    digest = _artifact_digest(known)
    try:
        await environment.registry.resolve(known.image_id or "", known.tenant_id, digest=digest)
    except ArtifactUnavailableError as error:
        if digest != artifact.artifact_sha256:
            raise InvalidInputError(
                f"the image that instance {known.instance_id} was started with is gone: {error.message}; or give "
                "another id, for an instance of what the scenario is now"
            ) from error
        await _register(environment, artifact, known.tenant_id, _named_runner(known))


def _require_same_runner(known: Instance, named: str | None, *, asked_for: str | None) -> None:
    """Refuse a runner that is not the one that alone launches a known instance."""
    if named is not None and asked_for not in (None, "auto", named):
        raise InvalidInputError(
            f"instance {known.instance_id} was started with the runner {named} and goes on with no other: "
            f"give --runner {named} instead of {asked_for}, or another id"
        )


async def _isolation(environment: Environment, instance_id: str, runner: str | None) -> str:
    """What the runner of an instance isolates; raises `InvalidInputError` when nothing here would ever launch it."""
    try:
        return await environment.isolation_with(runner)
    except RunnerUnavailableError as error:
        raise InvalidInputError(
            f"instance {instance_id} goes on with the runner {runner} alone: {error.message}; "
            f"or give --runner {runner}, or another id"
        ) from error


async def _require_same_scenario(environment: Environment, known: Instance, scenario_id: str) -> None:
    """Refuse an id that another scenario's instance has: its output would pass for this one's."""
    image_id = known.image_id or ""
    name = (await environment.registry.find_names([image_id])).get(image_id)
    if name is not None and name != scenario_id:
        raise InvalidInputError(
            f"instance {known.instance_id} belongs to the scenario {name!r}, not to {scenario_id!r}; choose another id"
        )


def _is_other_input(known: Instance, input_envelope: Mapping[str, Any]) -> bool:
    if known.input_bytes is not None:  # it is too long to be read for a remark
        return False
    return bool(json.loads(known.input or b"{}") != dict(input_envelope))


def _other_version(known: Instance, artifact: CompiledScenario) -> str | None:
    """What an instance was started with, when that is not the artifact at hand."""
    digest = _artifact_digest(known)
    return None if digest in (None, artifact.artifact_sha256) else f"sha256 {str(digest)[:12]}"


def _named_runner(instance: Instance) -> str | None:
    try:
        return LaunchOptions.decode(instance.launch_options).runner
    except InvalidInputError:
        return None


def _artifact_digest(instance: Instance) -> str | None:
    try:
        return LaunchOptions.decode(instance.launch_options).digest
    except InvalidInputError:
        return None


async def _follow(core: ManagementService, instance_id: str, progress: Progress, *, since_ms: int) -> Instance:
    """Report what happens to an instance until it has ended; returns its final row."""
    seen: tuple[InstanceStatus, int, int] | None = None
    last_event_id = 0
    for poll in itertools.count():
        instance = await core.get_instance(instance_id)
        if instance is None:
            raise InvalidInputError(f"instance {instance_id} was deleted while it ran")
        state = (instance.status, instance.epoch, instance.checkpoint_count)
        if state != seen or poll % _POLLS_PER_LOOK_AT_EVENTS == 0:
            last_event_id = await _report_events(core, instance_id, last_event_id, progress, since_ms=since_ms)
        if state != seen:
            await _report_checkpoints(core, instance, 0 if seen is None else seen[2], progress)
            _report_change(instance, seen, progress)
            seen = state
        if instance.status.is_terminal or (instance.status is InstanceStatus.SUSPENDED and instance.wake_at_ms is None):
            return instance
        await asyncio.sleep(_POLL_SECONDS)
    raise AssertionError("unreachable")


async def _report_checkpoints(core: ManagementService, instance: Instance, shown: int, progress: Progress) -> None:
    """Report each checkpoint since the one with number `shown`, the newest page of them when there are more."""
    missing = min(instance.checkpoint_count - shown, _CHECKPOINTS_PAGE)
    if missing <= 0:
        return
    page = await core.list_checkpoints(instance.instance_id, CheckpointFilter(limit=missing))
    newest_first = enumerate(page.checkpoints)
    for number, checkpoint in reversed([(page.total_count - index, found) for index, found in newest_first]):
        if shown < number <= instance.checkpoint_count:
            progress(f"checkpoint {number}: {checkpoint.checkpoint_id}")


async def _report_events(
    core: ManagementService, instance_id: str, after_event_id: int, progress: Progress, *, since_ms: int
) -> int:
    """Report log lines and retries that are new; returns the id of the last event."""
    while True:
        page = await core.list_events(
            instance_id, EventFilter(after_event_id=after_event_id, ascending=True, limit=_EVENTS_PAGE)
        )
        for event in page.events:
            after_event_id = event.event_id
            if (line := event_line(event, since_ms=since_ms)) is not None:
                progress(line)
        if len(page.events) < _EVENTS_PAGE:
            return after_event_id


def _report_change(instance: Instance, seen: tuple[InstanceStatus, int, int] | None, progress: Progress) -> None:
    if seen is not None and (instance.status, instance.epoch) == seen[:2]:
        return
    if instance.status is InstanceStatus.RUNNING:
        progress("running" if instance.epoch <= 1 else f"running, launch {instance.epoch}")
    elif instance.termination_reason is not None and instance.wake_at_ms is not None:
        due = datetime.fromtimestamp(instance.wake_at_ms / 1000, UTC).astimezone()
        cause = f": {instance.error}" if instance.error else ""
        progress(f"{instance.termination_reason.replace('_', ' ')}, due {due:%Y-%m-%d %H:%M:%S}{cause}")
    else:
        progress(str(instance.status))


def _outcome(instance: Instance, *, already_finished: bool = False, other_version: str | None = None) -> RunOutcome:
    output: Any = None
    if instance.output:
        try:
            output = json.loads(instance.output, parse_float=read_decimal)
        except ValueError:
            output = instance.output.decode("utf-8", "replace")
    return RunOutcome(
        instance_id=instance.instance_id,
        status=str(instance.status),
        output=output,
        error=instance.error,
        termination_reason=instance.termination_reason,
        already_finished=already_finished,
        other_version=other_version,
    )
