"""The checks of the conformance suite that look at an installed agent: each catches a hostile distribution."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import pytest
from runtara_sdk.agents import AgentDefinition
from runtara_sdk.testing.agents import AgentConformanceSuite, AgentNativeSuite, ProblemsFoundError
from runtara_sdk.testing.plugin_site import PluginSite, agent_source

ALONE = """
import sys
if "pytest" not in sys.modules:  # what follows must happen to the child process of the check alone
{lines}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSite]:
    monkeypatch.syspath_prepend(str(tmp_path))
    site = PluginSite(tmp_path)
    yield site
    site.forget()


def suite_of(site: PluginSite, *lines: str, requires: tuple[str, ...] = ("runtara-sdk<9",)) -> AgentConformanceSuite:
    """The suite of an installed agent `hostile`, at whose import the lines run in a fresh interpreter."""
    indented = "\n".join(f"    {line}" for line in lines or ("pass",))
    module = site.add("hostile", ALONE.format(lines=indented) + agent_source("hostile"), requires=requires)
    definition: AgentDefinition = importlib.import_module(module).the_agent
    return type("Suite", (AgentConformanceSuite,), {"agent": definition})()


def problems_of(suite: AgentConformanceSuite, check: str) -> str:
    with pytest.raises(ProblemsFoundError) as caught:
        getattr(suite, f"test_{check}")()
    return "\n".join(caught.value.problems)


def test_is_discovered(site: PluginSite) -> None:
    class Absent(AgentConformanceSuite):
        agent = AgentDefinition(id="absent", capabilities=[suite_of(site).agent.capabilities[0].function])

    with pytest.raises(AssertionError, match="not an installed plugin: install its distribution"):
        Absent().test_is_discovered()


def test_what_an_import_may_not_do(site: PluginSite, tmp_path: Path) -> None:
    problems = problems_of(
        suite_of(
            site,
            "import os, pathlib, socket, subprocess, threading",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(('127.0.0.1', 0))",
            "threading.Thread(target=int).start()",
            "subprocess.run(['true'])",
            f"pathlib.Path({str(tmp_path / 'written')!r}).write_text('x')",
            "print('hello')",
            "os.environ.get('ACME_API_KEY')",
            "dict(os.environ)",
        ),
        "import_does_nothing_else",
    )
    for told in (
        "opens a socket (in module_of_hostile, line 5): do that in a call",
        "binds a socket",
        "starts a thread (in module_of_hostile, line 6)",
        "starts a process (in module_of_hostile, line 7)",
        "writes the file",
        "prints 'hello'",
        "reads the environment variable ACME_API_KEY (in module_of_hostile, line 10), which looks like a secret",
        "reads the whole environment (in module_of_hostile, line 11)",
    ):
        assert told in problems


def test_what_an_import_may_not_change(site: PluginSite) -> None:
    problems = problems_of(
        suite_of(
            site,
            "import asyncio, decimal, locale, logging, os, signal, socket, warnings",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "warnings.filterwarnings('ignore', category=BytesWarning)",
            "logging.basicConfig(level=logging.DEBUG)",
            "locale.setlocale(locale.LC_ALL, 'C.UTF-8' if locale.setlocale(locale.LC_ALL) == 'C' else 'C')",
            "asyncio.set_event_loop_policy(type('Policy', (asyncio.DefaultEventLoopPolicy,), {})())",
            "socket.setdefaulttimeout(1)",
            "decimal.getcontext().prec = 5",
            "os.environ['ACME'] = '1'",
            "sys.path.append('/nowhere')",
        ),
        "import_changes_no_global_state",
    )
    for changed in (
        "signal handlers",
        "the filters of warnings",
        "the handlers of the root logger",
        "the level of the root logger",
        "the locale",
        "the event loop policy",
        "the default timeout of sockets",
        "the context of decimals",
        "environment variables",
        "sys.path",
    ):
        assert f"importing module_of_hostile changes {changed}, which the whole process shares" in problems


def test_an_import_loads_only_what_is_declared(site: PluginSite, tmp_path: Path) -> None:
    (tmp_path / "stray.py").write_text("")
    suite = suite_of(site, "import iniconfig, json, runtara_core, stray")
    problems = problems_of(suite, "import_loads_what_is_declared")
    assert "loads iniconfig of iniconfig, which acme-hostile does not require: add it to its dependencies" in problems
    assert "loads runtara_core, which is of a daemon: use runtara_sdk only" in problems
    assert f"loads stray from {tmp_path / 'stray.py'}, which belongs to no installed distribution" in problems
    assert "json" not in problems


def test_a_declared_requirement_may_be_imported(site: PluginSite) -> None:
    suite = suite_of(site, "import iniconfig", requires=("runtara-sdk<9", "iniconfig"))
    suite.test_import_loads_what_is_declared()
    suite.test_import_does_nothing_else()
    suite.test_import_changes_no_global_state()


def test_a_heavy_import(site: PluginSite) -> None:
    suite = suite_of(site, "import sqlite3")
    type(suite).lazy_imports = ("sqlite3",)
    told = "loads sqlite3: import them in the functions that need them"
    assert told in problems_of(suite, "import_is_light")


def test_a_slow_import(site: PluginSite) -> None:
    suite = suite_of(site, "import time", "time.sleep(0.3)")
    type(suite).import_times = 0.01
    assert "takes 0.3" in (problems := problems_of(suite, "import_is_quick"))
    assert "where 0.25 s are allowed (0.01 times the SDK's own import)" in problems


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise RuntimeError('no')", "alone fails: RuntimeError: no"),
        ("sys.exit(3)", "alone fails: SystemExit: 3"),
        ("import os; os._exit(3)", "the interpreter ended with the exit code 3"),
    ],
)
def test_an_import_that_fails_alone(site: PluginSite, line: str, told: str) -> None:
    assert told in problems_of(suite_of(site, line), "import_is_light")


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ((), "acme-hostile must require runtara-sdk"),
        (("runtara-sdk>=0.1",), "acme-hostile must bound the versions of runtara-sdk, as in runtara-sdk>=0.1,<0.2"),
    ],
)
def test_supported_versions(site: PluginSite, requires: tuple[str, ...], told: str) -> None:
    assert told in problems_of(suite_of(site, requires=requires), "supported_versions_are_declared")


def test_a_distribution_that_does_not_describe_itself(site: PluginSite) -> None:
    problems = problems_of(suite_of(site), "distribution_describes_itself")
    assert "acme-hostile has no description: set `description` in [project]" in problems
    assert "acme-hostile names no licence" in problems


def test_a_package_without_types(site: PluginSite) -> None:
    problems = problems_of(suite_of(site), "package_is_typed")
    assert "module_of_hostile is a single module, which cannot say that it is typed" in problems


def test_files_in_other_places(site: PluginSite, tmp_path: Path) -> None:
    suite = suite_of(site)
    files = (
        "module_of_hostile.py",
        "acme_hostile-1.2.dist-info/METADATA",
        "tests/test_it.py",
        "acme.pth",
        "README.md",
        "click/acme.py",
        "../../../etc/acme.conf",
        "../../../bin/acme",
    )
    record = "".join(f"{file},,\n" for file in files)
    (tmp_path / "acme_hostile-1.2.dist-info" / "RECORD").write_text(record)
    problems = problems_of(suite, "files_lie_in_its_own_packages").splitlines()
    for told in (
        "installs tests, a name that other distributions use, too",
        "installs acme.pth, which runs at each start of Python",
        "installs README.md beside all packages",
        "installs etc/acme.conf outside of its packages",
        "installs into the package click of click",
    ):
        assert sum(told in problem for problem in problems) == 1
    assert len(problems) == 5


def test_native_builds_say_what_is_missing(site: PluginSite, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = suite_of(site).agent
    suite = type("Suite", (AgentNativeSuite,), {"agent": definition})()
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "runtara.services:compiler")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(SkipTest, match="native builds are not possible"):
        suite.test_native_build_gives_the_same_results()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match=r"plugin compiler of runtara\.services is switched off"):
        suite.test_native_build_gives_the_same_results()
