"""What an environment offers of its agents, wired."""

from __future__ import annotations

from pathlib import Path

from runtara_environment.agents.capability_tests import CapabilityTests
from runtara_environment.agents.launched_call_host import CallRunners, LaunchedCallHost
from runtara_environment.agents.listing import AgentListing
from runtara_environment.settings import AgentTestingSettings
from runtara_environment.supervision.guest_network import GuestNetwork

# No tenant's directory is called so: names with a dot are hashed.
_DIRECTORY = ".capability-tests"


class AgentServices:
    """The agents of an environment.

    Args:
        data_dir: of the environment.
        network: what tested capabilities may reach.
        settings: whether capabilities are tested.
        runners: what launches the processes of tests.

    Attributes:
        listing: which agents there are.
        tests: tests of their capabilities.
    """

    def __init__(
        self, data_dir: Path, network: GuestNetwork, settings: AgentTestingSettings, runners: CallRunners
    ) -> None:
        self.listing = AgentListing()
        self._host = LaunchedCallHost(data_dir / _DIRECTORY, network, runners)
        self.tests = CapabilityTests(self.listing, self._host, settings)

    async def open(self) -> None:
        """End and remove what an earlier environment has left; for whoever holds the data directory."""
        await self._host.sweep()

    async def close(self) -> None:
        """Kill every process that lists or calls agents."""
        await self.tests.close()
        await self.listing.close()
