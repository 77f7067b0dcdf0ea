from runtara_agents_transform import datetime_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestDatetimeAgent(AgentConformanceSuite):
    agent = datetime_agent
    lazy_imports = ("re2", "iso3166", "jinja2", "pluggy")
