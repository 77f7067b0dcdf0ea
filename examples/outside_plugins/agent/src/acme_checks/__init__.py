"""Acme's agent of checks."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from acme_checks.fingerprints import fingerprint
from acme_checks.ledger import note
from acme_checks.references import add_check_digits

__all__ = ["checks_agent", "runtara_agents"]

checks_agent = AgentDefinition(
    id="checks",
    name="Checks",
    description="Fingerprints of texts, check digits of references, and a ledger.",
    capabilities=[fingerprint, add_check_digits, note],
)


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin. Each of them is a public name of this module, by which workflows import it."""
    return [checks_agent]
