"""What every agent owes its users, as the SDK checks it."""

from acme_checks import checks_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestConformance(AgentConformanceSuite):
    agent = checks_agent
    lazy_imports = ("xxhash",)
