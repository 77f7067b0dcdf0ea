from runtara_agents_transform import text_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestTextAgent(AgentConformanceSuite):
    agent = text_agent
    lazy_imports = ("re2", "iso3166", "jinja2", "pluggy")
