from runtara_agents_csv_xml import xml_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestXmlAgent(AgentConformanceSuite):
    agent = xml_agent
    lazy_imports = ("lxml", "python_calamine", "xlsxwriter", "pluggy")
