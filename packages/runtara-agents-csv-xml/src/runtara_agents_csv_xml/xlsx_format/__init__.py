"""The agent `xlsx`; needs the extra of the same name."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_csv_xml.xlsx_format.reading import from_xlsx, get_sheets
from runtara_agents_csv_xml.xlsx_format.writing import to_xlsx

__all__ = ["xlsx_agent"]

xlsx_agent = AgentDefinition(
    id="xlsx",
    name="Spreadsheet",
    description="Reads XLSX, XLS, XLSB and ODS, and writes XLSX.",
    category="data",
    capabilities=[from_xlsx, get_sheets, to_xlsx],
)
