from runtara_sdk.file_agent import file_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestFileAgent(AgentConformanceSuite):
    agent = file_agent
    lazy_imports = ("pluggy", "jinja2")
