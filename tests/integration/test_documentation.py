"""What the documents claim is so: links, commands, modules, variables, entry points, examples."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from contextlib import closing
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port
from runtara_environment import migrations as environment_migrations
from runtara_environment.registry import SignaturePolicy
from runtara_sdk.artifact.signing import read_signature

from tests.documents import Block, blocks, code_spans, headings

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in REPOSITORY.glob("packages/*/pyproject.toml"))
ROOT_DOCUMENTS = [REPOSITORY / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")]
DOCUMENTS = [
    *ROOT_DOCUMENTS,
    *(package / "README.md" for package in PACKAGES),
    *sorted(REPOSITORY.glob("docs/**/*.md")),
    *sorted(REPOSITORY.glob("examples/**/*.md")),
]
DOCUMENT_NAMES = [str(path.relative_to(REPOSITORY)) for path in DOCUMENTS]

PROJECTS = [tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"] for package in PACKAGES]
PROGRAMS = sorted((script for project in PROJECTS for script in project.get("scripts", {})), key=len, reverse=True)
CALL = re.compile(rf"(?<![\w./@-])({'|'.join(map(re.escape, PROGRAMS))})(?![\w.-])([^#&|);>]*)")
FIRST_COMMAND = (
    "pip install uv && uv run examples/order_service.py -- "
    "runtara run examples/order-processing.json --input @examples/order.json"
)
TEST_COMMAND = "pip install uv && uv run pytest"
TESTED_WITH_A_SERVER = {"runtara-agents-http", "runtara-agents-sftp"}
EXAMPLE_PORT = 8780
# The code of an exception, what a program hands to the script that it wrote, and what the system has.
NO_SETTINGS = {"RUNTARA_ERROR", "RUNTARA_MODULE_FLAGS", "PATH"}


def outside_variables(**given: str) -> dict[str, str]:
    """This process's variables without those that configure Runtara."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNTARA_", "DATA_DIR"))}
    return {**kept, **given}


@pytest.mark.parametrize("path", DOCUMENTS, ids=DOCUMENT_NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in headings(linked), f"{target}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=DOCUMENT_NAMES)
def test_files_that_are_named_exist(path: Path) -> None:
    folders = "|".join(entry.name for entry in REPOSITORY.iterdir() if entry.is_dir() and entry.name != ".git")
    named = re.compile(rf"(?<![\w/.:-])(?:{folders.replace('.', '[.]')})/[\w./-]*\w")
    for name in named.findall(path.read_text(encoding="utf-8")):
        if name.startswith((".data", ".venv")):
            continue
        pattern = name.replace("NAME", "*")
        assert list(REPOSITORY.glob(pattern)), f"{name} does not exist"


@cache
def help_of(*command: str) -> str:
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, env=outside_variables())
    assert shown.returncode == 0, f"{shlex.join(command)}: {shown.stderr}"
    return shown.stdout


def commands_in(path: Path) -> list[list[str]]:
    """Every call of a program of the product: code spans, lines of shell blocks, arguments of other programs."""
    texts = code_spans(path)
    for language, text in blocks(path):
        if language.startswith("sh"):
            texts += text.replace("\\\n", " ").splitlines()
    found = []
    for text in texts:
        for name, arguments in CALL.findall(text):
            try:
                words = shlex.split(arguments)
            except ValueError:
                words = arguments.split()
            found.append([name, *words])
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=DOCUMENT_NAMES)
def test_commands_and_their_options_exist(path: Path) -> None:
    for program, *words in commands_in(path):
        command = [program]
        shown = help_of(program)
        while "\nCommands:" in shown and words and re.fullmatch(r"[a-z][a-z-]+", words[0]):
            command.append(words.pop(0))
            shown = help_of(*command)
        for word in words:
            if word.startswith("--"):
                assert re.search(rf"^ +(-\w, )?.*{re.escape(word.partition('=')[0])}\b", shown, re.MULTILINE), (
                    f"{shlex.join(command)} has no option {word}"
                )


@pytest.mark.parametrize("path", DOCUMENTS, ids=DOCUMENT_NAMES)
def test_modules_that_are_named_can_be_imported(path: Path) -> None:
    own = {package.name.replace("-", "_") for package in PACKAGES if (package / "src").is_dir()}
    for span in code_spans(path):
        if not re.fullmatch(r"\w+(\.\w+)*", span) or span.split(".")[0] not in own:
            continue
        try:
            importlib.import_module(span)
        except ImportError:
            module, _, attribute = span.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), f"{span} does not exist"


def test_the_architecture_lists_the_entry_point_groups() -> None:
    listed = set(re.findall(r"^\| `(runtara\.\w+)` \|", (REPOSITORY / "ARCHITECTURE.md").read_text(), re.MULTILINE))
    declared = {group for project in PROJECTS for group in project.get("entry-points", {})}
    assert listed == declared
    assert {group for group in metadata.entry_points().groups if group.startswith("runtara")} == declared


def test_the_readme_links_every_package() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    architecture = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for package in PACKAGES:
        assert f"packages/{package.name}/README.md" in text
        assert package.name in architecture


def variables_of(package: Path) -> set[str]:
    """Environment variables that the sources of a package speak of or read."""
    # Names that end with an underscore are prefixes.
    named = re.compile(r"\b(?:TEST_)?RUNTARA_[A-Z0-9_]*[A-Z0-9]\b(?!_)")
    read = re.compile(
        r"(?:reader|environment|environ|EnvironmentReader\(\))"
        r"\.(?:text|optional_text|required_text|integer|port|boolean|get)\(\s*\"([A-Z][A-Z0-9_]+)\""
    )
    found: set[str] = set()
    for path in (package / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(named.findall(text)) | set(read.findall(text))
    return found - NO_SETTINGS


@pytest.mark.parametrize("package", PACKAGES, ids=[package.name for package in PACKAGES])
def test_variables_are_documented_where_they_are_read(package: Path) -> None:
    text = (package / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    assert variables_of(package) - documented == set(), "missing in the README"

    everywhere = set().union(*(variables_of(other) for other in PACKAGES))
    named = {name for name in documented if name.startswith("RUNTARA_") and not name.endswith("_")}
    assert named - everywhere == set(), "in the README, but nothing reads it"


def variables_of_tests() -> set[str]:
    """Environment variables by which the tests outside of packages are tuned."""
    read = re.compile(r"os\.environ\.get\(\"(RUNTARA_[A-Z0-9_]+)\"")
    return set().union(
        *(read.findall(path.read_text(encoding="utf-8")) for path in (REPOSITORY / "tests").rglob("*.py"))
    )


@pytest.mark.parametrize("path", ROOT_DOCUMENTS, ids=DOCUMENT_NAMES[: len(ROOT_DOCUMENTS)])
def test_variables_that_the_documents_name_exist(path: Path) -> None:
    everywhere = set().union(*(variables_of(package) for package in PACKAGES), variables_of_tests())
    named = set(re.findall(r"\b(?:TEST_)?RUNTARA_[A-Z0-9_]*[A-Z0-9]\b(?!_)", path.read_text(encoding="utf-8")))
    assert named - everywhere == set()


def rows_of_originals(kind: str) -> list[tuple[set[str], str]]:
    """Rows of the page about the original platform below headings that begin with `kind`: its names, what is here."""
    found: list[tuple[set[str], str]] = []
    is_wanted = False
    for line in (REPOSITORY / "docs" / "tables-and-variables.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            is_wanted = line.startswith(f"## {kind}")
        elif is_wanted and line.startswith("| `"):
            originals, here = (cell.strip() for cell in line.strip("|").split("|")[:2])
            found.append((set(re.findall(r"`(\w+)`", originals)), here))
    return found


async def test_the_tables_that_came_from_the_original_exist(tmp_path: Path) -> None:
    await environment_migrations.run(f"sqlite:///{tmp_path}/all.db")
    with closing(sqlite3.connect(tmp_path / "all.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows = rows_of_originals("Tables")
    assert len(rows) >= 15
    for originals, here in rows:
        named = set(re.findall(r"`(\w+)`", here))
        assert named or here == "absent", originals
        assert named <= tables
        assert here != "absent" or not originals & tables
    page = (REPOSITORY / "docs" / "tables-and-variables.md").read_text(encoding="utf-8")
    assert {table for table in tables if not table.startswith("sqlite_")} - set(re.findall(r"`(\w+)`", page)) == set()


def test_the_variables_that_came_from_the_original_are_read() -> None:
    everywhere = set().union(*(variables_of(package) for package in PACKAGES))
    rows = rows_of_originals("Variables")
    assert len(rows) >= 15
    for originals, here in rows:
        if here.startswith(("absent", "`")):
            assert (originals - {"DATA_DIR"}) & everywhere == set()
        else:
            assert originals - everywhere == set()


def programs_in_readmes() -> list[Any]:
    """Python blocks of the packages' READMEs, each with the text that it prints when one follows."""
    found = []
    for package in PACKAGES:
        listed = blocks(package / "README.md")
        for index, (language, text) in enumerate(listed):
            if language == "python" and package.name not in TESTED_WITH_A_SERVER:
                following = listed[index + 1] if index + 1 < len(listed) else None
                printed = following.text if following is not None and following.language == "text" else None
                found.append(pytest.param(text, printed, id=f"{package.name}-{index}"))
    return found


@pytest.mark.parametrize(("program", "printed"), programs_in_readmes())
def test_programs_in_readmes_run(program: str, printed: str | None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=outside_variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if printed is not None:
        assert done.stdout == printed


def test_the_shell_session_of_the_environment_runs(tmp_path: Path) -> None:
    readme = REPOSITORY / "packages" / "runtara-environment" / "README.md"
    (session,) = [block.text for block in blocks(readme) if block.language == "sh run"]
    core, management, environment = (choose_port(socket.SOCK_DGRAM) for _ in range(3))
    done = subprocess.run(
        ["bash", "-euc", session],
        cwd=tmp_path,
        env=outside_variables(
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            RUNTARA_QUIC_PORT=str(core),
            RUNTARA_ADMIN_PORT=str(management),
            RUNTARA_ENV_QUIC_PORT=str(environment),
            RUNTARA_CORE_ADDR=f"127.0.0.1:{core}",
            RUNTARA_ENVIRONMENT_ADDR=f"127.0.0.1:{environment}",
        ),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert '"status": "completed"' in done.stdout
    assert '"hello": "world"' in done.stdout


def test_the_signing_commands_of_the_environment_run(tmp_path: Path) -> None:
    readme = REPOSITORY / "packages/runtara-environment/README.md"
    (session,) = [block.text for block in blocks(readme) if "runtara-ctl sign" in block.text]
    (tmp_path / "hello.py").write_text("#!/usr/bin/env python3\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euc", session]
    done = subprocess.run(
        command, cwd=tmp_path, env=outside_variables(PATH=path), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256((tmp_path / "hello.py").read_bytes()).hexdigest()
    SignaturePolicy.of(tmp_path / "keys").require(digest, read_signature(tmp_path / "hello.py.sig"))


def example_port_is_free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", EXAMPLE_PORT))
        except OSError:
            return False
        return True


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    """The files of version control in their present state, without environment, caches or data."""
    clone = tmp_path / "runtara"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=30).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, clone / name)
    return clone


def test_the_first_command_of_the_readme_prints_what_the_readme_shows(bare_clone: Path) -> None:
    first, example, second = blocks(REPOSITORY / "README.md")[:3]
    assert first == Block("sh", f"{FIRST_COMMAND}\n")
    assert second == Block("sh", f"{TEST_COMMAND}\n")
    assert example.language == "json"

    deadline = time.monotonic() + 60
    while not example_port_is_free():
        assert time.monotonic() < deadline, f"port {EXAMPLE_PORT} of the example service is in use"
        time.sleep(0.2)

    # The programs of this test's environment are out of reach, as they are for a newcomer.
    variables = outside_variables()
    for name in ("VIRTUAL_ENV", "UV", "UV_RUN_RECURSION_DEPTH", "PYTHONPATH"):
        variables.pop(name, None)
    here = str(Path(sys.executable).parent)
    uv = shutil.which("uv")
    assert uv is not None
    paths = [path for path in variables["PATH"].split(os.pathsep) if path != here]
    variables["PATH"] = os.pathsep.join([*paths, str(Path(uv).parent)])

    # `pip install uv` is how the program got here that runs this test.
    command = shlex.split(FIRST_COMMAND.removeprefix("pip install uv && "))
    for attempt in ("first", "second"):
        began = time.monotonic()
        done = subprocess.run(command, cwd=bare_clone, env=variables, capture_output=True, text=True, timeout=240)
        print(f"{attempt} run: {time.monotonic() - began:.1f} s")
        assert done.returncode == 0, done.stderr
        assert done.stdout == example.text
    assert "from the cache" in done.stderr


def test_contributing_and_ci_run_the_test_command() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "uv run pytest" in script
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for check in ("ruff check", "ruff format", "mypy", "lint-imports"):
        assert check in script
        assert check in contributing
    for script_name in ("generate-protos", "pin-dependencies"):
        assert f"scripts/{script_name} --check" in script
        assert f"scripts/{script_name}" in contributing
