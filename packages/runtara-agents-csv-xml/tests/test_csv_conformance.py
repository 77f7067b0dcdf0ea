from runtara_agents_csv_xml.csv_format import csv_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestCsvAgent(AgentConformanceSuite):
    agent = csv_agent
    lazy_imports = ("lxml", "python_calamine", "xlsxwriter", "pluggy")
