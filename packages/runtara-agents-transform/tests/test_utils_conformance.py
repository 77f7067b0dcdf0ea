from runtara_agents_transform import utils_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestUtilsAgent(AgentConformanceSuite):
    agent = utils_agent
    lazy_imports = ("re2", "iso3166", "jinja2", "pluggy")
