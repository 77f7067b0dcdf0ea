"""The rules that a scenario must meet before it is compiled."""

from runtara_compiler.validation.agents import AgentCatalog, AgentView, CapabilityView, InputView
from runtara_compiler.validation.report import ValidationReport
from runtara_compiler.validation.validator import validate, validate_source

__all__ = [
    "AgentCatalog",
    "AgentView",
    "CapabilityView",
    "InputView",
    "ValidationReport",
    "validate",
    "validate_source",
]
