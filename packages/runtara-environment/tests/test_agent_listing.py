"""Which agents an environment lists, and what it says when it cannot."""

from __future__ import annotations

import pytest
from runtara_environment.agents.listing import AgentListing, AgentListingError
from runtara_sdk.errors import RuntaraError


async def test_without_agents_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_PLUGINS", "nothing-of-this-name")
    monkeypatch.delenv("RUNTARA_STDLIB_NAME", raising=False)
    agents = await AgentListing().list_agents()
    assert (agents.json, agents.agent_ids, agents.find("file", "file-read-file")) == (b"[]", [], None)


async def test_a_bundle_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_PLUGINS", "nothing-of-this-name")
    monkeypatch.setenv("RUNTARA_STDLIB_NAME", "acme_stdlb")
    listing = AgentListing()
    with pytest.raises(
        AgentListingError, match=r"^RUNTARA_STDLIB_NAME=acme_stdlb: no such module is installed"
    ) as told:
        await listing.list_agents()
    assert (told.value.code, told.value.retryable) == ("LIST_AGENTS_ERROR", False)
    with pytest.raises(RuntaraError) as told_of_one:
        await listing.get_capability("orders", "total")
    assert told_of_one.value.code == "GET_CAPABILITY_ERROR"


async def test_a_capability_is_found_by_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_PLUGINS", "runtara-sdk")
    monkeypatch.delenv("RUNTARA_STDLIB_NAME", raising=False)
    listing = AgentListing()
    found = await listing.get_capability("FILE", "read")
    assert found is not None
    assert (found.agent_id, found.capability_id) == ("file", "file-read-file")
    assert {"inputSchema", "outputSchema", "knownErrors"} <= set(found.document)
    assert await listing.get_capability("file", "READ") is None
    assert await listing.get_capability("nobody", "read") is None
