"""The agent `csv`."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_csv_xml.csv_format.chunks import csv_read_chunk
from runtara_agents_csv_xml.csv_format.reading import from_csv, get_header
from runtara_agents_csv_xml.csv_format.validation import csv_validate
from runtara_agents_csv_xml.csv_format.writing import to_csv

__all__ = ["csv_agent"]

csv_agent = AgentDefinition(
    id="csv",
    name="CSV",
    description="Reads, checks and writes CSV of any size.",
    category="data",
    capabilities=[from_csv, to_csv, get_header, csv_read_chunk, csv_validate],
)
