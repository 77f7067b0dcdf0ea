"""Hosts that share a database: listed, drained, and what one is asked to do with what runs on another."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crash_platform import SCRIPTS, TENANT, Platform
from processes import eventually
from runtara_core.security import issue_api_key
from runtara_core.storages import open_storage
from runtara_core.testing.postgres import create_database, drop_database
from runtara_sdk.errors import (
    InstanceNotFoundError,
    InvalidInputError,
    LogsNotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from runtara_sdk.management import HostState, ManagementSdk
from runtara_sdk.management.models import LogPiece
from runtara_sdk.models import InstanceStatus
from several_hosts import PATIENT, OtherHost, host_named, launches_of, reaches, start_patient


class TwoHosts:
    """Two hosts, of which neither gets images of the other; the first runs one program at a time."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        limit = {"RUNTARA_MAX_LAUNCHES_PER_HOST": "1"}
        self.first = OtherHost(platform, "first", RUNTARA_IMAGE_SOURCES="none", **limit)
        self.second = OtherHost(platform, "second", RUNTARA_IMAGE_SOURCES="none")

    async def ensure_running(self) -> None:
        """Start what does not run."""
        if self.platform.core is None:
            await self.platform.start_core()
        for host in (self.first, self.second):
            if host.daemon is None or not host.daemon.is_alive:
                await host.start()

    async def running_on(self, host: OtherHost, directory: Path) -> str:
        """An instance that runs on a host; the other host gets its image only then."""
        program = PATIENT.read_bytes() + f"# {directory.name}\n".encode()
        async with self.first.sdk() as first, self.second.sdk() as second:
            sdk, other = (first, second) if host is self.first else (second, first)
            image = await sdk.register_image(TENANT, directory.name, program)
            instance_id = await start_patient(sdk, image.image_id, directory, 0)

            async def runs() -> bool:
                return host.runs(instance_id)

            await self.platform.eventually(runs, f"{instance_id} on {host.name}")
            await other.register_image(TENANT, directory.name, program)
        return instance_id

    async def ctl(self, host: OtherHost, *argv: str) -> tuple[int, Any, str]:
        """Run `runtara-ctl` on a host: exit code, output as JSON, errors."""
        env = {"RUNTARA_ENVIRONMENT_ADDR": f"127.0.0.1:{host.port}", "DATA_DIR": str(host.data_dir)}
        process = await asyncio.create_subprocess_exec(
            SCRIPTS / "runtara-ctl", *argv, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
        return process.returncode or 0, json.loads(output) if output else None, errors.decode()


@pytest.fixture(scope="module")
def _hosts(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    url = asyncio.run(create_database(postgres_url))
    platform = Platform(tmp_path_factory.mktemp("hosts"), url)
    platform.lease_ms = 9_000
    yield TwoHosts(platform)
    platform.close()
    asyncio.run(drop_database(postgres_url, url))


@pytest.fixture
async def hosts(_hosts: TwoHosts) -> TwoHosts:
    await _hosts.ensure_running()
    return _hosts


async def completes(sdk: ManagementSdk, directory: Path, instance_id: str) -> None:
    """It goes on in its second launch, and comes to its end there."""

    async def goes_on() -> bool:
        return len(launches_of(directory, instance_id)) == 2

    await eventually(goes_on, "a second launch")
    (directory / instance_id / "enough").touch()
    end = await sdk.wait_for_completion(instance_id, poll_interval=0.1, timeout=60)
    assert end.status is InstanceStatus.COMPLETED, end


async def followed(sdk: ManagementSdk, instance_id: str) -> list[LogPiece]:
    return [piece async for piece in sdk.follow_logs(instance_id, stream="stdout", epoch=1)]


def lines_of(pieces: list[LogPiece]) -> list[str]:
    """What was written, each launch with the number that it says itself."""
    text = b"".join(piece.data for piece in pieces).decode()
    written = {piece.epoch for piece in pieces if piece.data}
    assert written == {int(number) for number in re.findall(r"launch (\d+) begins", text)}
    # A claim of a host that lacked the image has a number, and no output.
    assert written.isdisjoint(piece.epoch for piece in pieces if piece.missing)
    assert [piece.epoch for piece in pieces] == sorted(piece.epoch for piece in pieces)
    assert pieces[-1].status is InstanceStatus.COMPLETED
    return [re.sub(r"\d+", "N", line) for line in text.splitlines()]


async def begins(sdk: ManagementSdk, instance_id: str) -> None:
    """Its first launch has written something, whatever host it is on."""

    async def has_written() -> bool:
        return bool((await sdk.read_logs(instance_id, stream="stdout")).data)

    await eventually(has_written, "output of the first launch")


async def test_a_drained_host_is_empty_and_others_go_on(hosts: TwoHosts, tmp_path: Path) -> None:
    instance_id = await hosts.running_on(hosts.first, tmp_path)
    async with hosts.first.sdk() as near, hosts.second.sdk() as far:
        following = [asyncio.create_task(followed(sdk, instance_id)) for sdk in (near, far)]
        await begins(far, instance_id)
        await _drained_and_completed(hosts, tmp_path, instance_id)
        for pieces in await asyncio.wait_for(asyncio.gather(*following), 60):
            assert lines_of(pieces) == ["launch N begins", "launch N begins", "ends"]
        first = next(piece.epoch for piece in pieces if piece.data)
        late = await far.read_logs(instance_id, stream="stdout", epoch=first)
        assert (late.data, late.ended) == (f"launch {first} begins\n".encode(), True)
        with pytest.raises(LogsNotFoundError, match="on no host that is there"):
            await far.read_logs(instance_id, stream="stdout", epoch=99)
        with pytest.raises(InstanceNotFoundError):
            await ManagementSdk(replace(far.settings, tenant_id="somebody"), client=far._client).read_logs(instance_id)


async def _drained_and_completed(hosts: TwoHosts, tmp_path: Path, instance_id: str) -> None:
    code, shown, said = await hosts.ctl(hosts.second, "drain", "first", "--timeout", "60")
    assert (code, shown["state"], shown["live_launches"]) == (0, "drained", 0), said
    assert not hosts.first.runs(instance_id)
    async with hosts.first.sdk() as sdk:  # it serves calls
        await completes(sdk, tmp_path, instance_id)
        # The request outlives the environment.
        await hosts.first.stop()
        await hosts.first.start()
        async with hosts.second.sdk() as other:
            await reaches(hosts.platform, other, "first", HostState.DRAINED)
    code, shown, said = await hosts.ctl(hosts.second, "drain", "first", "--undo")
    assert (code, shown["drain_requested_at_ms"]) == (0, None), said
    async with hosts.second.sdk() as other:
        await reaches(hosts.platform, other, "first", HostState.ACTIVE)


async def test_hosts_are_listed_with_what_they_hold(hosts: TwoHosts) -> None:
    code, shown, said = await hosts.ctl(hosts.first, "hosts", "--artifacts", "--json")
    assert code == 0, said
    found = {host["host_name"]: host for host in shown["hosts"]}
    assert set(found["first"]["artifact_digests"]) & set(found["second"]["artifact_digests"])
    assert found["first"]["address"] == f"127.0.0.1:{hosts.first.port}"
    async with hosts.first.sdk() as sdk:
        with pytest.raises(InvalidInputError, match="there is no host 'third'"):
            await sdk.drain_host("third")


async def test_a_full_host_takes_no_more_and_goes_on_when_it_has_room(hosts: TwoHosts, tmp_path: Path) -> None:
    here = await hosts.running_on(hosts.first, tmp_path)
    hosts.first.kill()
    await hosts.first.start()  # what it adopts counts
    async with hosts.second.sdk() as sdk:
        info = await sdk.get_instance_status(here)
        other = await start_patient(sdk, info.image_id, tmp_path, 1)

        async def runs_on(host: OtherHost) -> None:
            async def runs() -> bool:
                return host.runs(other)

            await hosts.platform.eventually(runs, f"{other} on {host.name}")

        await runs_on(hosts.second)

        async def shows_that_it_is_full() -> bool:
            host = await host_named(sdk, "first")
            return (host.live_launches, host.max_launches) == (1, 1)

        await hosts.platform.eventually(shows_that_it_is_full, "what the first host says of itself")
        await sdk.drain_host("second")
        await reaches(hosts.platform, sdk, "second", HostState.DRAINED)
        assert hosts.first.runs(here)
        assert not hosts.first.runs(other), "it waits for room"
        (tmp_path / here / "enough").touch()
        await runs_on(hosts.first)
        (tmp_path / other / "enough").touch()
        for instance_id in (here, other):
            end = await sdk.wait_for_completion(instance_id, poll_interval=0.1, timeout=60)
            assert end.status is InstanceStatus.COMPLETED, hosts.platform.transcript()
        assert [len(launches_of(tmp_path, each)) for each in (here, other)] == [1, 2]
        await sdk.undrain_host("second")
        await reaches(hosts.platform, sdk, "second", HostState.ACTIVE)


async def test_the_end_of_a_daemon_hands_its_instances_on(hosts: TwoHosts, tmp_path: Path) -> None:
    instance_id = await hosts.running_on(hosts.second, tmp_path)
    async with hosts.first.sdk() as sdk:
        await begins(sdk, instance_id)
        following = asyncio.create_task(followed(sdk, instance_id))
        assert await hosts.second.stop(signal.SIGTERM) == 0
        assert not hosts.second.runs(instance_id)
        assert (await host_named(sdk, "second")).state is HostState.STOPPED
        await completes(sdk, tmp_path, instance_id)
        pieces = await asyncio.wait_for(following, 60)
        text = b"".join(piece.data for piece in pieces).decode()
        assert text.endswith(" begins\nends\n"), pieces
        # What had not been fetched before the host was gone is said to be missing.
        assert text.count("begins") == 2 or any(piece.missing for piece in pieces), pieces


async def test_a_stop_is_carried_out_where_the_program_runs(hosts: TwoHosts) -> None:
    stubborn = PATIENT.with_name("stubborn.py")
    async with hosts.first.sdk() as first, hosts.second.sdk() as second:
        image = await second.register_image_stream(TENANT, "stubborn", stubborn)
        started = await first.start_instance(image.image_id, TENANT)

        async def runs() -> bool:
            return hosts.second.runs(started.instance_id)

        await hosts.platform.eventually(runs, "a program on the second host")
        began = time.monotonic()
        await first.stop_instance(started.instance_id, grace_period_seconds=2)
        assert not hosts.second.runs(started.instance_id), "it was confirmed dead"
        assert time.monotonic() - began < 12, hosts.platform.transcript()
        end = await first.get_instance_status(started.instance_id)
        assert (end.status, end.termination_reason) == (InstanceStatus.CANCELLED, "cancelled")


async def test_a_pause_and_a_resume_reach_the_other_host(hosts: TwoHosts, tmp_path: Path) -> None:
    instance_id = await hosts.running_on(hosts.second, tmp_path)
    async with hosts.first.sdk() as sdk:
        await sdk.pause_instance(instance_id)

        async def is_paused() -> bool:
            info = await sdk.get_instance_status(instance_id)
            return info.status is InstanceStatus.SUSPENDED and not hosts.second.runs(instance_id)

        await hosts.platform.eventually(is_paused, "a paused instance")
        await sdk.resume_instance(instance_id)
        await completes(sdk, tmp_path, instance_id)


async def test_images_come_to_where_they_are_needed(hosts: TwoHosts, tmp_path: Path) -> None:
    """From hosts that have them, from copies made when they were registered, and from the database in the end."""
    third = OtherHost(hosts.platform, "third", RUNTARA_IMAGE_SOURCES="hosts")
    places = f"hosts, directory:{tmp_path}/shared, database"
    fourth = OtherHost(hosts.platform, "fourth", RUNTARA_IMAGE_SOURCES=places, RUNTARA_IMAGE_COPIES="2")
    fifth = OtherHost(hosts.platform, "fifth", RUNTARA_IMAGE_SOURCES="database")
    program = PATIENT.read_bytes() + b"# fetched\n"
    async with hosts.first.sdk() as sdk:
        fetched = await sdk.register_image(TENANT, "fetched", program)
        await sdk.drain_host("first")
        await reaches(hosts.platform, sdk, "first", HostState.DRAINED)
        await third.start()
        for number, (image_id, host) in enumerate(((fetched.image_id, third), ("", fifth))):
            if not image_id:
                await fourth.start()
                async with fourth.sdk() as registering:
                    copied = await registering.register_image(TENANT, "copied", program + b"# copied\n")
                assert copied.warning is None
                holding = {each.host_name: each.artifact_digests for each in await sdk.list_hosts(with_artifacts=True)}
                (digest,) = [path.name for path in (tmp_path / "shared").iterdir() if "." not in path.name]
                assert digest in holding["third"]
                assert digest in holding["fourth"]
                third.lose()
                fourth.lose()
                await fifth.start()
                image_id = copied.image_id
            instance_id = await start_patient(sdk, image_id, tmp_path, number, steps=1)
            end = await sdk.wait_for_completion(instance_id, poll_interval=0.1, timeout=60)
            assert end.status is InstanceStatus.COMPLETED, hosts.platform.transcript()
            assert list(host.data_dir.glob(f"{TENANT}/runs/{instance_id}"))
        await sdk.undrain_host("first")
        await fifth.stop()


async def test_hosts_that_demand_keys_and_certificates_do_all_that_for_each_other(
    hosts: TwoHosts, tmp_path: Path
) -> None:
    """The last test of this module, for from the first key on the whole database wants them."""
    hosts.first.lose()
    hosts.second.lose()
    operator, tenant = await keys_of(hosts.platform.database_url)
    demanding = {
        "RUNTARA_API_KEY": operator,
        "RUNTARA_IMAGE_SOURCES": "hosts",
        "RUNTARA_SKIP_CERT_VERIFICATION": "false",
    }
    one = OtherHost(hosts.platform, "key-one", RUNTARA_IMAGE_COPIES="2", **demanding)
    two = OtherHost(hosts.platform, "key-two", **demanding)
    await asyncio.gather(one.start(), two.start())
    async with one.sdk() as nobody:
        with pytest.raises(UnauthenticatedError):
            await nobody.list_hosts()
    async with one.sdk(operator) as operating, one.sdk(tenant) as sdk:
        with pytest.raises(PermissionDeniedError):
            await sdk.list_hosts()
        image = await sdk.register_image(TENANT, "with-keys", PATIENT.read_bytes() + b"# with keys\n")
        assert image.warning is None, "the other host holds a copy"
        await operating.drain_host("key-one")
        await reaches(hosts.platform, operating, "key-one", HostState.DRAINED)
        paused, stopped = [await start_patient(sdk, image.image_id, tmp_path, number) for number in range(2)]

        async def run_there() -> bool:
            return two.runs(paused) and two.runs(stopped)

        await hosts.platform.eventually(run_there, "two instances on the host that got the copy")
        await sdk.pause_instance(paused)

        async def is_paused() -> bool:
            info = await sdk.get_instance_status(paused)
            return info.status is InstanceStatus.SUSPENDED and not two.runs(paused)

        await hosts.platform.eventually(is_paused, "a paused instance")
        await sdk.stop_instance(stopped, grace_period_seconds=2)
        assert not two.runs(stopped), "it was confirmed dead"
        await operating.undrain_host("key-one")
        async with two.sdk(tenant) as other:
            lacking = await other.register_image(TENANT, "on-one-host", PATIENT.read_bytes() + b"# on one host\n")
        await operating.drain_host("key-two")
        await reaches(hosts.platform, operating, "key-two", HostState.DRAINED)
        fetching = await start_patient(sdk, lacking.image_id, tmp_path, 2, steps=1)
        await sdk.resume_instance(paused)
        await completes(sdk, tmp_path, paused)
        end = await sdk.wait_for_completion(fetching, poll_interval=0.1, timeout=60)
        assert end.status is InstanceStatus.COMPLETED, hosts.platform.transcript()
        assert list(one.data_dir.glob(f"{TENANT}/runs/{fetching}")), "where the artifact was fetched to"


async def keys_of(url: str) -> tuple[str, str]:
    """The key of an operator and that of the tenant."""
    storage = await open_storage(url)
    await storage.open()
    texts = []
    for tenant_id in (None, TENANT):
        issued = issue_api_key(tenant_id=tenant_id, name="", now_ms=round(time.time() * 1000))
        await storage.credentials.create_api_key(issued.record)
        texts.append(issued.text)
    await storage.close()
    return texts[0], texts[1]
