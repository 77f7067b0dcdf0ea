"""The guides, followed: their files are written, their commands are run, and print what the guides show."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from runtara_core.testing.ports import choose_port
from runtara_sdk.testing.plugin_site import PluginSite

from tests.documents import Block, blocks
from tests.integration.clean_environment import REPOSITORY, outside_variables

PROGRAMS = {"runtara", "runtara-core", "runtara-ctl", "runtara-environment"}
GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("*.md"))


class Reader:
    """Somebody who follows a guide in an empty directory, in an environment where Runtara is installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._programs = directory / "environment" / "bin"
        venv.create(self._programs.parent, symlinks=True)
        [self._packages] = self._programs.parent.glob("lib/python*/site-packages")
        # What is installed for the tests is installed here, too.
        installed = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self._packages / "installed.pth").write_text(installed)
        for script in metadata.entry_points(group="console_scripts"):
            if script.name in PROGRAMS:
                path = self._programs / script.name
                start = f"import sys\nfrom {script.module} import {script.attr}\nsys.exit({script.attr}())\n"
                path.write_text(f"#!{self._programs / 'python'}\n{start}")
                path.chmod(0o755)

    def write_files(self, guide: str) -> None:
        for block in blocks(REPOSITORY / "docs" / "guides" / guide):
            named = re.search(r" file=(\S+)", block.language)
            if named is not None:
                path = self.directory / named[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)

    def install(self, project: Path) -> None:
        """As `pip install -e` does, but with nothing to download."""
        declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        groups = declared.get("entry-points", {})
        lines = [
            line
            for group, names in groups.items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()))
        ]
        site = PluginSite(self._packages)
        told = {"Summary": "description", "License-Expression": "license"}
        site.describe(
            declared["name"],
            "\n".join(lines) + "\n",
            requires=declared["dependencies"],
            headers={header: declared[key] for header, key in told.items() if key in declared},
        )
        source = project / "src"
        (self._packages / f"{declared['name']}.pth").write_text(f"{source if source.is_dir() else project}\n")

    def run(self, *command: str, at: Path | None = None, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=at or self.directory,
            env=outside_variables() | {"PATH": f"{self._programs}:{os.environ['PATH']}", **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def follow_sessions(self, guide: str, *, at: Path | None = None) -> None:
        """Run the sessions of a guide; the block that follows one directly is what it prints."""
        text = (REPOSITORY / "docs" / "guides" / guide).read_text()
        sessions = re.findall(
            r"^```sh run\n(.*?)^```(?:\n\n```(?:text|json)\n(.*?)^```)?", text, re.DOTALL | re.MULTILINE
        )
        assert sessions
        for session, shown in sessions:
            printed = self.run("bash", "-euc", session, at=at)
            assert not shown or printed == shown


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_write_an_agent(reader: Reader) -> None:
    made = json.loads(reader.run("runtara", "new", "agent", "weather", "--json"))
    project = reader.directory / made["directory"]
    reader.directory = project
    reader.write_files("write-an-agent.md")
    reader.install(project)
    reader.follow_sessions("write-an-agent.md")


def test_ship_a_bundle(reader: Reader) -> None:
    copied = reader.directory / "examples" / "product_bundle"
    shutil.copytree(REPOSITORY / "examples" / "product_bundle", copied)
    reader.install(copied)
    reader.follow_sessions("ship-a-bundle.md")


def test_write_a_step_by_hand(reader: Reader) -> None:
    reader.write_files("write-a-step-by-hand.md")
    reader.follow_sessions("write-a-step-by-hand.md")


def test_write_a_runner(reader: Reader) -> None:
    reader.write_files("write-a-runner.md")
    reader.install(reader.directory)
    # The whole suite runs on the runner that this one is derived from.
    some = "exit_code or memory or adopted or settles"
    options = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-k", some)
    assert " passed" in reader.run("python", "-m", "pytest", *options)
    listed = json.loads(reader.run("runtara", "plugins", "--json"))
    assert {"runtara.runners", "limited"} <= {value for plugin in listed for value in plugin.values()}


def test_an_environment_uses_the_runner_of_the_guide(reader: Reader) -> None:
    reader.write_files("write-a-runner.md")
    reader.install(reader.directory)
    readme = REPOSITORY / "packages" / "runtara-environment" / "README.md"
    (session,) = [block.text for block in blocks(readme) if block.language == "sh run"]
    core, management, environment = (str(choose_port(socket.SOCK_DGRAM)) for _ in range(3))
    printed = reader.run(
        *("bash", "-euc", session),
        RUNTARA_RUNNER="limited",
        RUNTARA_QUIC_PORT=core,
        RUNTARA_ADMIN_PORT=management,
        RUNTARA_ENV_QUIC_PORT=environment,
        RUNTARA_CORE_ADDR=f"127.0.0.1:{core}",
        RUNTARA_ENVIRONMENT_ADDR=f"127.0.0.1:{environment}",
    )
    assert '"status": "completed"' in printed


def test_write_a_storage(reader: Reader) -> None:
    reader.write_files("write-a-step-by-hand.md")
    reader.write_files("write-a-storage.md")
    reader.install(reader.directory)
    reader.follow_sessions("write-a-storage.md")
    # The whole suite runs on the storage that the URLs lead to.
    options = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-k", "checkpoint and not many")
    assert " passed" in reader.run("python", "-m", "pytest", *options)


@pytest.mark.parametrize("guide", GUIDES, ids=[path.stem for path in GUIDES])
def test_what_a_guide_quotes_is_there(guide: Path) -> None:
    for block in blocks(guide):
        named = re.search(r" from=(\S+)", block.language)
        if named is not None:
            quoted = "".join(block.text.split())  # which is laid out anew where its indentation is left out
            there = "".join((REPOSITORY / named[1]).read_text().split())
            assert quoted in there, f"{named[1]} has not what the guide quotes"


@pytest.mark.parametrize("guide", GUIDES, ids=[path.stem for path in GUIDES])
def test_all_code_of_a_guide_is_run_or_quoted(guide: Path) -> None:
    loose = [block for block in blocks(guide) if _is_loose(block)]
    assert not loose, "a block of Python or TOML is neither a file nor a quotation"


def _is_loose(block: Block) -> bool:
    language, _, rest = block.language.partition(" ")
    return language in {"python", "toml"} and not re.fullmatch(r"(file|from)=\S+", rest)
