"""The conformance suite of agents: an agent's own test file is one subclass.

    class TestWeatherAgent(AgentConformanceSuite):
        agent = weather_agent

pytest collects the inherited tests. They need neither network nor plugins of pytest. Capabilities run with inputs that
must be refused, and with those of their examples. An example that `needs` something is called when the suite's
`provided` stands it up.

`AgentNativeSuite` builds the agent into a native binary, and compares what it gives there.
"""

from __future__ import annotations

from runtara_sdk.testing.agent_checks.calls import ProvidedCall
from runtara_sdk.testing.agent_checks.declarations import AgentDeclarationCases
from runtara_sdk.testing.agent_checks.endings import AgentEndingCases
from runtara_sdk.testing.agent_checks.examples import AgentExampleCases
from runtara_sdk.testing.agent_checks.findings import ProblemsFoundError
from runtara_sdk.testing.agent_checks.importing import AgentImportCases
from runtara_sdk.testing.agent_checks.inputs import AgentInputCases
from runtara_sdk.testing.agent_checks.installation import AgentInstallationCases
from runtara_sdk.testing.agent_checks.native import AgentNativeSuite
from runtara_sdk.testing.agent_checks.redaction import AgentRedactionCases
from runtara_sdk.testing.agent_checks.repetition import AgentRepetitionCases

__all__ = ["AgentCallSuite", "AgentConformanceSuite", "AgentNativeSuite", "ProblemsFoundError", "ProvidedCall"]


class AgentCallSuite(AgentExampleCases, AgentRepetitionCases, AgentEndingCases, AgentRedactionCases):
    """The checks that call the examples. For a further test class, where a service makes all examples callable.

    Attributes and `provided` are as in `AgentConformanceSuite`.
    """


class AgentConformanceSuite(
    AgentDeclarationCases, AgentInputCases, AgentCallSuite, AgentImportCases, AgentInstallationCases
):
    """What every agent owes its users. Subclass it, set `agent` (the definition under test), and fill in what fits.

    Attributes:
        examples: inputs by capability id that succeed without network or daemons, beside the declared examples.
        grace_seconds: how long a call may take to end once its time is over or it is cancelled.
        lazy_imports: modules that importing the agent must not load, because only a call needs them.
        import_times: how many times as long as the SDK's own import that of the agent may take.
        installed: whether the agent is installed, so that discovery must find it.
        bundle: module of the product's bundle that offers the agent, where no plugin does.

    Override `provided` to make the examples callable that need a service.
    """
