from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from runtara_sdk.agents import DiscoveredAgents, discover_agents
from runtara_sdk.errors import ConfigurationError

_AGENT = """
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, capability

class Nothing(BaseModel):
    pass

@capability(id="do-nothing", description="Nothing.")
def do_nothing(inputs: Nothing) -> None:
    return None

the_agent = AgentDefinition(id="{agent_id}", capabilities=[do_nothing])

def runtara_agents():
    return [the_agent]
"""


class PluginSite:
    """A folder of plugins installed as importlib.metadata sees them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, source: str, *, value: str | None = None) -> None:
        module = f"plugin_{name}_for_discovery"
        (self.folder / f"{module}.py").write_text(source)
        information = self.folder / f"acme_{name}-1.2.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.2\n")
        (information / "entry_points.txt").write_text(f"[runtara.agents]\n{name} = {value or module}\n")

    def discover(self, **variables: str) -> DiscoveredAgents:
        entry_points = [
            entry_point
            for distribution in metadata.distributions(path=[str(self.folder)])
            for entry_point in distribution.entry_points
        ]
        return discover_agents(variables=variables, entry_points=entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSite]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PluginSite(tmp_path)
    for name in [name for name in sys.modules if name.endswith("_for_discovery")]:
        del sys.modules[name]


def test_a_plugin_is_found_with_its_static_import(site: PluginSite) -> None:
    site.add("fine", _AGENT.format(agent_id="fine"))
    found = site.discover()
    assert found.broken == ()
    plugin = found.find("FINE")
    assert plugin is not None
    assert (plugin.distribution, plugin.version) == ("acme-fine", "1.2")
    assert (plugin.module, plugin.attribute) == ("plugin_fine_for_discovery", "the_agent")
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
        (_AGENT.format(agent_id="hidden").replace("the_agent", "_the_agent"), "must be a public name"),
        (_AGENT.format(agent_id="Bad Id"), "AgentDefinitionError"),
    ],
)
def test_a_broken_plugin_is_put_aside_with_its_reason(site: PluginSite, source: str, reason: str) -> None:
    site.add("broken", source)
    site.add("fine", _AGENT.format(agent_id="fine"))
    found = site.discover()
    assert list(found.agents) == ["fine"]
    [broken] = found.broken
    assert (broken.name, broken.distribution) == ("broken", "acme-broken")
    assert reason in broken.reason
    assert "\n" not in broken.reason


def test_an_entry_point_must_name_a_module(site: PluginSite) -> None:
    site.add("fine", _AGENT.format(agent_id="fine"), value="plugin_fine_for_discovery:the_agent")
    [broken] = site.discover().broken
    assert "must name a module" in broken.reason


def test_the_second_of_two_equal_ids_is_put_aside(site: PluginSite) -> None:
    site.add("first", _AGENT.format(agent_id="same"))
    site.add("second", _AGENT.format(agent_id="same"))
    found = site.discover()
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
    site.add("one", _AGENT.format(agent_id="one"))
    site.add("two", _AGENT.format(agent_id="two"))
    assert sorted(site.discover(**variables).agents) == expected


def test_refused_plugins_are_not_even_imported(site: PluginSite) -> None:
    site.add("one", "raise SystemExit(9)")
    assert site.discover(RUNTARA_DISABLE_PLUGINS="one") == DiscoveredAgents({}, ())


def test_importing_the_agent_api_does_not_load_discovery() -> None:
    program = "import runtara_sdk.agents, sys; print([n for n in ('pluggy', 'aioquic', 'httpx') if n in sys.modules])"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.strip() == "[]"


class TestBundles:
    """A product says with a module of its own which agents there are."""

    @pytest.fixture
    def bundle(self, site: PluginSite) -> PluginSite:
        site.add("one", _AGENT.format(agent_id="one"))
        site.add("two", _AGENT.format(agent_id="two"))
        return site

    def found(self, bundle: PluginSite, source: str) -> DiscoveredAgents:
        (bundle.folder / "bundle_for_discovery.py").write_text(source)
        return bundle.discover(RUNTARA_STDLIB_NAME="bundle_for_discovery")

    def test_it_offers_what_it_takes_from_plugins_and_what_it_brings_along(self, bundle: PluginSite) -> None:
        information = bundle.folder / "bundle_for_discovery-3.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: bundle_for_discovery\nVersion: 3.0\n")
        own = _AGENT.format(agent_id="own").replace("def runtara_agents", "def unused")
        source = "from plugin_one_for_discovery import the_agent as one\n" + own
        found = self.found(bundle, source + "\ndef runtara_agents():\n    return [one, the_agent]\n")
        assert sorted(found.agents) == ["one", "own"]
        plugin, brought = found.agents["one"], found.agents["own"]
        assert (plugin.module, plugin.distribution) == ("plugin_one_for_discovery", "acme-one")
        assert (brought.module, brought.attribute) == ("bundle_for_discovery", "the_agent")
        assert (brought.distribution, brought.version) == ("bundle_for_discovery", "3.0")

    def test_an_empty_variable_names_none(self, bundle: PluginSite) -> None:
        assert sorted(bundle.discover(RUNTARA_STDLIB_NAME="").agents) == ["one", "two"]

    @pytest.mark.parametrize("name", ["no_such_bundle_anywhere", "os; import sys", "no_such_bundle_anywhere.inner"])
    def test_a_module_that_is_not_there_is_refused(self, bundle: PluginSite, name: str) -> None:
        with pytest.raises(ConfigurationError, match=r"RUNTARA_STDLIB_NAME=.*(no such|the name of a) module"):
            bundle.discover(RUNTARA_STDLIB_NAME=name)

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_module_anywhere", "cannot be imported: No module named 'no_such_module_anywhere'"),
            ("raise SystemExit(3)", "cannot be imported: SystemExit"),
            ("pass", r"has no function runtara_agents\(\)"),
            ("def runtara_agents(): return 7", "must return a list"),
            ("def runtara_agents(): raise KeyError('x')", "raised KeyError"),
            (
                "from plugin_one_for_discovery import the_agent\ndef runtara_agents(): return [the_agent, the_agent]",
                "two agents with the id 'one'",
            ),
            (_AGENT.format(agent_id="own").replace("the_agent", "_the_agent"), "'own' must be a public name"),
            (_AGENT.format(agent_id="own"), "belongs to no installed distribution"),
        ],
    )
    def test_one_that_cannot_be_used_is_refused_with_the_reason(
        self, bundle: PluginSite, source: str, reason: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=f"^RUNTARA_STDLIB_NAME=bundle_for_discovery: .*{reason}"):
            self.found(bundle, source)
