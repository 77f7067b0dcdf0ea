from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtara_sdk.agents import DiscoveredAgents, discover_agents
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.plugins import find_plugins
from runtara_sdk.testing.plugin_site import PluginSite, agent_source


def discover(site: PluginSite, **variables: str) -> DiscoveredAgents:
    """What is found among the plugins of the test alone."""
    found = find_plugins("runtara.agents", variables)
    return discover_agents(variables=variables, plugins=[each for each in found if each.distribution[:5] == "acme-"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSite]:
    monkeypatch.syspath_prepend(str(tmp_path))
    site = PluginSite(tmp_path)
    yield site
    site.forget()


def test_a_plugin_is_found_with_its_static_import(site: PluginSite) -> None:
    site.add("fine", agent_source("fine"))
    found = discover(site)
    assert found.broken == ()
    plugin = found.find("FINE")
    assert plugin is not None
    assert (plugin.distribution, plugin.version) == ("acme-fine", "1.2")
    assert (plugin.module, plugin.attribute) == ("module_of_fine", "the_agent")
    assert [item["id"] for item in found.metadata()] == ["fine"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise ValueError('no luck\\nmore')", "ValueError: no luck"),
        ("pass", "has no function runtara_agents()"),
        ("def runtara_agents(): return 7", "must return a list of AgentDefinition"),
        ("def runtara_agents(): raise KeyError('x')", "KeyError"),
        ("def runtara_agents(surprise): return []", "PluginValidationError"),
        (agent_source("hidden").replace("the_agent", "_the_agent"), "must be a public name"),
        (agent_source("Bad Id"), "AgentDefinitionError"),
    ],
)
def test_a_broken_plugin_is_put_aside_with_its_reason(site: PluginSite, source: str, reason: str) -> None:
    site.add("broken", source)
    site.add("fine", agent_source("fine"))
    found = discover(site)
    assert list(found.agents) == ["fine"]
    [broken] = found.broken
    assert (broken.name, broken.distribution) == ("broken", "acme-broken")
    assert reason in broken.reason
    assert "\n" not in broken.reason


def test_an_entry_point_must_name_a_module(site: PluginSite) -> None:
    site.add("fine", agent_source("fine"), value="module_of_fine:the_agent")
    [broken] = discover(site).broken
    assert "must name a module" in broken.reason


def test_the_second_of_two_equal_ids_is_put_aside(site: PluginSite) -> None:
    site.add("first", agent_source("same"))
    site.add("second", agent_source("same"))
    found = discover(site)
    assert found.agents["same"].distribution == "acme-first"
    assert [plugin.reason for plugin in found.broken] == ["agent id 'same' is already taken by acme-first"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RUNTARA_PLUGINS": "one"}, ["one"]),
        ({"RUNTARA_PLUGINS": "acme_one, two"}, ["one", "two"]),
        ({"RUNTARA_PLUGINS": ""}, ["one", "two"]),
        ({"RUNTARA_DISABLE_PLUGINS": "Acme-One"}, ["two"]),
        ({"RUNTARA_PLUGINS": "one", "RUNTARA_DISABLE_PLUGINS": "one"}, []),
    ],
)
def test_lists_steer_loading(site: PluginSite, variables: dict[str, str], expected: list[str]) -> None:
    site.add("one", agent_source("one"))
    site.add("two", agent_source("two"))
    assert sorted(discover(site, **variables).agents) == expected


def test_refused_plugins_are_not_even_imported(site: PluginSite) -> None:
    site.add("one", "raise SystemExit(9)")
    assert discover(site, RUNTARA_DISABLE_PLUGINS="one") == DiscoveredAgents({}, ())


def test_importing_the_agent_api_does_not_load_discovery() -> None:
    program = "import runtara_sdk.agents, sys; print([n for n in ('pluggy', 'aioquic', 'httpx') if n in sys.modules])"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.strip() == "[]"


class TestBundles:
    """A product says with a module of its own which agents there are."""

    @pytest.fixture
    def bundle(self, site: PluginSite) -> PluginSite:
        site.add("one", agent_source("one"))
        site.add("two", agent_source("two"))
        return site

    def found(self, bundle: PluginSite, source: str) -> DiscoveredAgents:
        (bundle.directory / "bundle_for_discovery.py").write_text(source)
        return discover(bundle, RUNTARA_STDLIB_NAME="bundle_for_discovery")

    def test_it_offers_what_it_takes_from_plugins_and_what_it_brings_along(self, bundle: PluginSite) -> None:
        bundle.describe("bundle_for_discovery")
        own = agent_source("own").replace("def runtara_agents", "def unused")
        source = "from module_of_one import the_agent as one\n" + own
        found = self.found(bundle, source + "\ndef runtara_agents():\n    return [one, the_agent]\n")
        assert sorted(found.agents) == ["one", "own"]
        plugin, brought = found.agents["one"], found.agents["own"]
        assert (plugin.module, plugin.distribution) == ("module_of_one", "acme-one")
        assert (brought.module, brought.attribute) == ("bundle_for_discovery", "the_agent")
        assert (brought.distribution, brought.version) == ("bundle_for_discovery", "1.2")

    def test_an_empty_variable_names_none(self, bundle: PluginSite) -> None:
        assert sorted(discover(bundle, RUNTARA_STDLIB_NAME="").agents) == ["one", "two"]

    def test_one_for_another_version_is_refused_before_the_import(self, bundle: PluginSite) -> None:
        bundle.describe("bundle_for_discovery", requires=["runtara-sdk>=999"])
        with pytest.raises(ConfigurationError, match=r"bundle_for_discovery: it requires runtara-sdk>=999, but"):
            self.found(bundle, "raise AssertionError('imported')")

    def test_one_that_hangs_is_bounded(self, bundle: PluginSite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNTARA_PLUGIN_LOAD_SECONDS", "0.2")
        # Of a name that no other test uses: the module stays locked by the thread that imports it.
        (bundle.directory / "hanging_bundle.py").write_text("import threading\nthreading.Event().wait()\n")
        with pytest.raises(ConfigurationError, match=r"hanging_bundle: it did not finish loading within 0\.2 s"):
            discover(bundle, RUNTARA_STDLIB_NAME="hanging_bundle")

    @pytest.mark.parametrize("name", ["no_such_bundle_anywhere", "os; import sys", "no_such_bundle_anywhere.inner"])
    def test_a_module_that_is_not_there_is_refused(self, bundle: PluginSite, name: str) -> None:
        with pytest.raises(ConfigurationError, match=r"RUNTARA_STDLIB_NAME=.*(no such|the name of a) module"):
            discover(bundle, RUNTARA_STDLIB_NAME=name)

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_module_anywhere", "cannot be imported: No module named 'no_such_module_anywhere'"),
            ("raise SystemExit(3)", "cannot be imported: SystemExit"),
            ("pass", r"has no function runtara_agents\(\)"),
            ("def runtara_agents(): return 7", "must return a list"),
            ("def runtara_agents(): raise KeyError('x')", "raised KeyError"),
            (
                "from module_of_one import the_agent\ndef runtara_agents(): return [the_agent, the_agent]",
                "two agents with the id 'one'",
            ),
            (agent_source("own").replace("the_agent", "_the_agent"), "'own' must be a public name"),
            (agent_source("own"), "belongs to no installed distribution"),
        ],
    )
    def test_one_that_cannot_be_used_is_refused_with_the_reason(
        self, bundle: PluginSite, source: str, reason: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=f"^RUNTARA_STDLIB_NAME=bundle_for_discovery: .*{reason}"):
            self.found(bundle, source)
