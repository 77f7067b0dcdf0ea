from runtara_agents_csv_xml import xlsx_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestXlsxAgent(AgentConformanceSuite):
    agent = xlsx_agent
    lazy_imports = ("lxml", "python_calamine", "xlsxwriter", "pluggy")
