"""The agent `xml`."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_csv_xml.xml_format.extracting import xml_extract
from runtara_agents_csv_xml.xml_format.reading import from_xml
from runtara_agents_csv_xml.xml_format.validating import xml_validate
from runtara_agents_csv_xml.xml_format.writing import to_xml

__all__ = ["xml_agent"]

xml_agent = AgentDefinition(
    id="xml",
    name="XML",
    description="Reads, searches, checks and writes XML.",
    category="data",
    capabilities=[from_xml, to_xml, xml_extract, xml_validate],
)
