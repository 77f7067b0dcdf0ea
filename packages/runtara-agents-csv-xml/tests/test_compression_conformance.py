from runtara_agents_csv_xml import compression_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestCompressionAgent(AgentConformanceSuite):
    agent = compression_agent
    lazy_imports = ("lxml", "python_calamine", "xlsxwriter", "pluggy")
