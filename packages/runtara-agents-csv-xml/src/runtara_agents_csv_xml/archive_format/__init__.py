"""The agent `compression`."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_csv_xml.archive_format.reading import extract_archive, extract_file, list_archive
from runtara_agents_csv_xml.archive_format.single import compress, decompress
from runtara_agents_csv_xml.archive_format.writing import create_archive

__all__ = ["compression_agent"]

compression_agent = AgentDefinition(
    id="compression",
    name="Compression",
    description="Packs and unpacks archives and compressed files, within bounds.",
    category="data",
    capabilities=[create_archive, extract_archive, extract_file, list_archive, compress, decompress],
)
