"""The conformance suite of the `Storage` contract.

A storage's own test file is one subclass with a `storage` fixture that yields an open, empty storage:

    class TestMyStorage(StorageConformance):
        @pytest.fixture
        async def storage(self) -> AsyncIterator[Storage]: ...

Needs pytest and pytest-asyncio in auto mode. Every statement of the contract's docstrings is a test here.
"""

from runtara_core.testing.storage_suite.checkpoint_cases import CheckpointCases
from runtara_core.testing.storage_suite.credential_cases import CredentialCases
from runtara_core.testing.storage_suite.event_cases import EventCases
from runtara_core.testing.storage_suite.exit_cases import ExitCases
from runtara_core.testing.storage_suite.launch_cases import LaunchCases
from runtara_core.testing.storage_suite.lease_cases import LeaseCases
from runtara_core.testing.storage_suite.listing_cases import ListingCases
from runtara_core.testing.storage_suite.race_cases import RaceCases
from runtara_core.testing.storage_suite.registration_cases import RegistrationCases
from runtara_core.testing.storage_suite.restart_cases import RestartCases
from runtara_core.testing.storage_suite.retention_cases import RetentionCases
from runtara_core.testing.storage_suite.retry_cases import RetryCases
from runtara_core.testing.storage_suite.several_checkpoint_cases import SeveralCheckpointCases
from runtara_core.testing.storage_suite.shutdown_cases import ShutdownCases
from runtara_core.testing.storage_suite.signal_cases import SignalCases
from runtara_core.testing.storage_suite.signal_wait_cases import SignalWaitCases
from runtara_core.testing.storage_suite.step_cases import StepCases
from runtara_core.testing.storage_suite.tenant_metrics_cases import TenantMetricsCases
from runtara_core.testing.storage_suite.turn_cases import TurnCases
from runtara_core.testing.storage_suite.watch_cases import WatchCases

__all__ = ["StorageConformance"]


class StorageConformance(
    RegistrationCases,
    CheckpointCases,
    SeveralCheckpointCases,
    EventCases,
    RetryCases,
    RestartCases,
    SignalCases,
    ShutdownCases,
    SignalWaitCases,
    WatchCases,
    LaunchCases,
    TurnCases,
    LeaseCases,
    ExitCases,
    ListingCases,
    StepCases,
    TenantMetricsCases,
    RaceCases,
    RetentionCases,
    CredentialCases,
):
    """All cases; subclasses provide the `storage` fixture."""
