"""Plugins that do not fit, hang or end the process are refused with the reason."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner
from runtara_sdk import __version__
from runtara_sdk.cli.plugins import plugins as plugins_command
from runtara_sdk.plugin_compatibility import incompatibility, is_released_together
from runtara_sdk.plugins import IncompatiblePluginError, Plugin, PluginError, find_plugins
from runtara_sdk.testing.agents import AgentConformanceSuite
from runtara_sdk.testing.plugin_site import PluginSite, agent_source


def plugin_named(name: str, group: str = "runtara.agents") -> Plugin:
    return next(plugin for plugin in find_plugins(group, {}) if plugin.name == name)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSite]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RUNTARA_PLUGIN_LOAD_SECONDS", "2")
    site = PluginSite(tmp_path)
    yield site
    site.forget()


def reason_of(plugin: Plugin) -> str:
    with pytest.raises(PluginError) as caught:
        plugin.load()
    assert caught.value.message.startswith(f"plugin {plugin.name} of {plugin.distribution} cannot be loaded: ")
    return caught.value.reason


class TestRangeOfVersions:
    """A plugin's requirements say which Runtara it supports."""

    def test_out_of_range_is_refused_before_the_import(self, site: PluginSite) -> None:
        site.add("late", "raise AssertionError('imported')", requires=("runtara-sdk<1000,>=999",))
        plugin = plugin_named("late")
        with pytest.raises(IncompatiblePluginError) as caught:
            plugin.load()
        assert caught.value.code == "PLUGIN_INCOMPATIBLE"
        assert caught.value.reason == (
            f"it requires runtara-sdk<1000,>=999, but runtara-sdk {__version__} is installed: "
            "install a version of acme-late that supports it"
        )

    @pytest.mark.parametrize(
        "requirement",
        [
            f"runtara_sdk == {__version__}",
            "runtara-sdk >=0.0.1",
            "runtara-sdk>=999; extra == 'testing'",
            "runtara-sdk>=999; python_version < '3'",
            "pydantic>=999",  # the installer's business, not an interface of plugins
            "not @ a (requirement",
        ],
    )
    def test_others_are_not(self, site: PluginSite, requirement: str) -> None:
        site.add("fine", "value = 1", requires=("pydantic", requirement))
        assert plugin_named("fine").load().value == 1

    def test_of_the_host_the_version_counts_too(self, site: PluginSite) -> None:
        site.add("store", "", requires=(f"runtara-sdk=={__version__}", "Runtara.Core<0.0.1"), group="runtara.storage")
        assert "it requires runtara-core<0.0.1, but runtara-core" in reason_of(plugin_named("store", "runtara.storage"))

    def test_own_distributions_fit_at_one_version(self) -> None:
        assert is_released_together("Runtara_Core", __version__)
        assert not is_released_together("runtara-core", "0.0.1")
        assert not is_released_together("acme-core", __version__)
        assert incompatibility("no-such-distribution") is None


def test_an_import_that_hangs_is_bounded(site: PluginSite) -> None:
    site.add("waits", "import threading\nthreading.Event().wait()\n")
    assert reason_of(plugin_named("waits")).startswith("it did not finish loading within 2 s (")


def test_a_module_that_exits_is_put_aside(site: PluginSite) -> None:
    site.add("exits", "import sys\nsys.exit('bye')\n")
    assert reason_of(plugin_named("exits")) == "SystemExit: bye"


@pytest.mark.parametrize("listed", ["acme_One", "ONE", "runtara.agents:one", " one , other"])
def test_names_in_lists_are_compared_as_installers_do(site: PluginSite, listed: str) -> None:
    site.add("one", "")
    for variable, is_enabled in (("RUNTARA_PLUGINS", True), ("RUNTARA_DISABLE_PLUGINS", False)):
        found = find_plugins("runtara.agents", {variable: listed})
        assert [plugin.is_enabled for plugin in found if plugin.name == "one"] == [is_enabled]
        assert {plugin.is_enabled for plugin in found if plugin.name == "file"} == {not is_enabled}


def test_the_listing_tells_states_and_reasons(site: PluginSite) -> None:
    site.add("fine", agent_source("fine"))
    site.add("hook", "def runtara_agents(): return 7\n")
    site.add("late", "", requires=("runtara-sdk>=999",))
    site.add("twice", agent_source("file"))
    site.add("waits", "import threading\nthreading.Event().wait()\n")
    result = CliRunner().invoke(plugins_command, ["--group", "runtara.agents", "--json"])
    rows = {row["name"]: (row["state"], row["reason"]) for row in json.loads(result.output)}
    assert rows["fine"] == rows["file"] == ("ok", None)
    assert rows["hook"] == ("broken", "runtara_agents() must return a list of AgentDefinition")
    assert rows["late"][0] == "refused"
    assert rows["twice"] == ("broken", "agent id 'file' is already taken by runtara-sdk")
    assert rows["waits"][0] == "broken"
    listing = CliRunner().invoke(plugins_command, ["--group", "runtara.agents"]).output
    assert "refused: it requires runtara-sdk>=999" in listing


def test_a_thread_that_hangs_keeps_no_command_from_ending(site: PluginSite) -> None:
    site.add("waits", "import time\nwhile True:\n    time.sleep(0.01)\n")
    program = "from runtara_sdk.cli.main import main; main()"
    completed = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site.directory)!r}); {program}", "agents", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert "left out: waits of acme-waits: it did not finish loading" in completed.stderr


@pytest.mark.parametrize(
    ("requires", "complaint"),
    [
        ((), "acme-loose must require runtara-sdk"),
        (("runtara-sdk>=0.0.1",), "acme-loose must bound the versions of runtara-sdk"),
        (("runtara-sdk>=0.0.1,<1000",), None),
    ],
)
def test_the_conformance_suite_asks_for_a_range(
    site: PluginSite, requires: tuple[str, ...], complaint: str | None
) -> None:
    module = site.add("loose", agent_source("loose"), requires=requires)
    definition = importlib.import_module(module).the_agent
    suite = type("Suite", (AgentConformanceSuite,), {"agent": definition})()
    with pytest.raises(AssertionError, match=complaint) if complaint else nullcontext():
        suite.test_supported_versions_are_declared()
