from runtara_agents_transform import crypto_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestCryptoAgent(AgentConformanceSuite):
    agent = crypto_agent
    lazy_imports = ("re2", "iso3166", "jinja2", "pluggy")
