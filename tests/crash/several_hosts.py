"""Environments on one database, each as on a host of its own: with a data directory that no other has."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from crash_platform import TENANT, Platform
from processes import Daemon, free_ports, guest_of, launch_epoch
from runtara_sdk.management import HostInfo, HostState, ManagementSdk
from witness import read_witness

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

    def sdk(self) -> ManagementSdk:
        """A management client of this host."""
        settings = replace(self._platform.management_settings(), server_addr=f"127.0.0.1:{self.port}")
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
    instance_id = f"patient-{number}-{time.monotonic_ns()}"
    (directory / instance_id).mkdir()
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
