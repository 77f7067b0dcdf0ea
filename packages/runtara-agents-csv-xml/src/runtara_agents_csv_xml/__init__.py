"""CSV, XML, spreadsheet and archive agents for Runtara workflows.

Each agent is imported when it is first used: a workflow that reads CSV loads nothing of the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentDefinition

if TYPE_CHECKING:
    from runtara_agents_csv_xml.archive_format import compression_agent
    from runtara_agents_csv_xml.csv_format import csv_agent
    from runtara_agents_csv_xml.xlsx_format import xlsx_agent
    from runtara_agents_csv_xml.xml_format import xml_agent

__version__ = "0.1.0"

__all__ = ["compression_agent", "csv_agent", "runtara_agents", "xlsx_agent", "xml_agent"]

_MODULES = {
    "csv_agent": "csv_format",
    "xlsx_agent": "xlsx_format",
    "xml_agent": "xml_format",
    "compression_agent": "archive_format",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    agent = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = agent
    return agent


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin."""
    return [__getattr__(name) for name in _MODULES]
