"""Environments on one database, each as on a host of its own: with a data directory that no other has."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from crash_platform import TENANT, Platform
from processes import Daemon, free_ports, guest_of, launch_epoch
from runtara_sdk.errors import DeadlineExceededError, TransportError
from runtara_sdk.management import HostInfo, HostState, InstanceInfo, ManagementSdk
from runtara_sdk.models import InstanceStatus
from witness import read_witness

STEPS = 20
"""Of each instance of a campaign."""

PATIENT = Path(__file__).with_name("programs") / "patient.py"


class OtherHost:
    """One environment with a data directory of its own; it shares certificates with the others and nothing else."""

    def __init__(self, platform: Platform, name: str, **variables: str) -> None:
        self.name = name
        self.data_dir = platform.directory / name
        self.port = free_ports(1)[0]
        self.daemon: Daemon | None = None
        self._platform = platform
        self._variables = variables
        self.data_dir.mkdir()
        (self.data_dir / "tls").symlink_to(platform.data_dir / "tls")

    async def start(self) -> None:
        """Start its environment and wait until it serves."""
        self.daemon = self._platform.spawn_environment(
            f"{self.name}.log",
            {
                "DATA_DIR": str(self.data_dir),
                "RUNTARA_ENV_QUIC_PORT": str(self.port),
                "RUNTARA_HOST_NAME": self.name,
                **self._variables,
            },
        )
        await self.daemon.wait_until_serving()

    def kill(self) -> None:
        """SIGKILL to the environment; what runs on the host goes on."""
        assert self.daemon is not None
        self.daemon.kill()

    def lose(self) -> None:
        """The end of the host: its environment and all that runs there."""
        self.kill()
        for run in self.data_dir.glob(f"{TENANT}/runs/*"):
            for launch in sorted(run.glob("launch-*"), key=launch_epoch):
                guest = guest_of(launch)
                if guest is not None:
                    guest.kill_shim()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell the environment to stop; returns its exit code."""
        assert self.daemon is not None
        self.daemon.send(number)
        return await self.daemon.exit_code()

    def sdk(self, api_key: str | None = None) -> ManagementSdk:
        """A management client of this host."""
        address = f"127.0.0.1:{self.port}"
        settings = replace(self._platform.management_settings(), server_addr=address, api_key=api_key)
        return ManagementSdk(settings)

    def runs(self, instance_id: str) -> bool:
        """Whether a program of the instance is alive on this host."""
        launches = self.data_dir.glob(f"{TENANT}/runs/{instance_id}/launch-*")
        guests = (guest_of(launch) for launch in launches)
        return any(guest is not None and guest.program is not None and guest.program.is_alive for guest in guests)


async def host_named(sdk: ManagementSdk, name: str) -> HostInfo:
    """A host as the environments see it."""
    (found,) = [host for host in await sdk.list_hosts() if host.host_name == name]
    return found


async def reaches(platform: Platform, sdk: ManagementSdk, name: str, state: HostState) -> HostInfo:
    """A host, once it has a state."""

    async def look() -> HostInfo | None:
        host = await host_named(sdk, name)
        return host if host.state is state else None

    found: HostInfo = await platform.eventually(look, f"host {name} {state}")
    return found


async def start_patient(
    sdk: ManagementSdk,
    image_id: str,
    directory: Path,
    number: int,
    *,
    steps: int = 100_000,
    pause_seconds: float = 0.05,
) -> str:
    """Start an instance of the patient program; its witness is kept in a folder of its id."""
    instance_id = f"patient-{number}-{directory.name}"[:60].rstrip("-")
    (directory / instance_id).mkdir(exist_ok=True)
    env = {
        "CRASH_MODULES": str(Path(__file__).parent),
        "CRASH_WITNESS": str(directory / instance_id),
        "RUNTARA_HEARTBEAT_INTERVAL_MS": "0",
        "RUNTARA_SIGNAL_POLL_INTERVAL_MS": "100",
    }
    envelope = {"number": number, "steps": steps, "pause_seconds": pause_seconds}
    await sdk.start_instance(image_id, TENANT, instance_id=instance_id, input_envelope=envelope, env=env)
    return instance_id


def launches_of(directory: Path, instance_id: str) -> list[Any]:
    """The epochs in which its programs began; fails when two were alive at the same time."""
    facts = read_witness(directory / instance_id)
    overlaps = [fact for fact in facts if fact[0] == "overlap"]
    assert not overlaps, f"{instance_id} had two processes at once: {facts}"
    return [fact[1] for fact in facts if fact[0] == "begin"]


class Campaign:
    """Instances on several hosts, whose environments are killed at random; one host is lost for good on the way."""

    def __init__(self, platform: Platform, hosts: list[OtherHost], directory: Path, seed: int) -> None:
        self.deaths: Counter[str] = Counter()
        self.started: dict[int, str] = {}
        self._platform = platform
        self._hosts = hosts
        self._directory = directory
        self._random = random.Random(seed)
        self._image_id = ""

    async def run(self, seconds: float, instances: int) -> None:
        """Start all hosts, then instances and deaths, evenly over the time; returns when every instance has ended."""
        await self._platform.start_core()
        for host in self._hosts:
            await host.start()
        async with self._hosts[0].sdk() as sdk:
            self._image_id = (await sdk.register_image_stream(TENANT, "patient", PATIENT)).image_id
        await asyncio.gather(self._start(seconds, instances), self._kill(seconds))
        for instance_id in self.started.values():
            await self._ask(lambda sdk, name=instance_id: sdk.wait_for_completion(name, poll_interval=0.2, timeout=120))

    async def violations(self, steps: int) -> list[str]:
        """What is not as it must be: each instance ends once, with its own result, and no two processes advance it."""
        found: list[str] = []
        for number, instance_id in self.started.items():
            info: InstanceInfo = await self._ask(lambda sdk, name=instance_id: sdk.get_instance_status(name))
            facts = read_witness(self._directory / instance_id)
            if info.status is not InstanceStatus.COMPLETED or info.output != {"number": number, "steps": steps}:
                found.append(f"{instance_id} is {info.status} with {info.output}: {info.error}")
            if overlaps := [fact for fact in facts if fact[0] == "overlap"]:
                found.append(f"{instance_id} had two processes at once: {overlaps}")
            epochs = [fact[1] for fact in facts if fact[0] == "begin"]
            if sorted(set(epochs)) != epochs:
                found.append(f"{instance_id} was launched twice in one epoch: {epochs}")
            states: dict[str, set[str]] = {}
            for fact in facts:
                if fact[0] == "known":
                    states.setdefault(fact[1], set()).add(fact[2])
            if changed := {name: each for name, each in states.items() if len(each) > 1}:
                found.append(f"{instance_id} was told two results of one step: {changed}")
        return found

    async def _start(self, seconds: float, instances: int) -> None:
        for number in range(instances):
            self.started[number] = await self._ask(
                lambda sdk, number=number: start_patient(sdk, self._image_id, self._directory, number, steps=STEPS)
            )
            await asyncio.sleep(seconds / instances)

    async def _kill(self, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        half = time.monotonic() + seconds / 2
        while time.monotonic() < give_up:
            await asyncio.sleep(self._random.uniform(0.2, 2.0))
            if len(self._hosts) > 2 and time.monotonic() > half:
                self._hosts.pop().lose()
                self.deaths["host, for good"] += 1
                continue
            host = self._random.choice(self._hosts)
            if self._random.random() < 0.3:
                host.lose()
                self.deaths["host"] += 1
            else:
                host.kill()
                self.deaths["environment"] += 1
            await host.start()

    async def _ask(self, call: Callable[[ManagementSdk], Awaitable[Any]]) -> Any:
        """Ask whichever host answers."""

        async def attempt() -> Any:
            for host in list(self._hosts):
                try:
                    async with host.sdk() as sdk:
                        return (await call(sdk),)
                except (TransportError, DeadlineExceededError):
                    continue
            return None

        return (await self._platform.eventually(attempt, "an answer of a host"))[0]
