"""Plugins of strangers: an agent with extension modules, a storage and a runner, installed beside released wheels."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port

from tests.integration.clean_environment import (
    REPOSITORY,
    CleanEnvironment,
    native_library,
    outside_variables,
    passes_its_own_tests,
)

EXAMPLES = REPOSITORY / "examples" / "outside_plugins"
PARTS = {"agent": "acme-agent-checks", "runner": "acme-runner-background", "storage": "acme-storage"}
PLATFORM = ("runtara-compiler", "runtara-core[testing]", "runtara-environment[testing]")
BUILD_SECONDS = 600
WAIT_SECONDS = 60.0

RESULT = {"fingerprint": "1b50aad4336681742d23ee4ef4ecc794", "reference": "ORDER100124"}
LEDGER = "ORDER1001 begun\nORDER1001 checked\n"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the three projects, apart from this repository, each as it is checked out."""
    directory = tmp_path_factory.mktemp("projects")
    left_out = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*.so")
    for part in PARTS:
        shutil.copytree(EXAMPLES / part, directory / part, ignore=left_out)
    return directory


@pytest.fixture(scope="module")
def installed(projects: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An environment with wheels of this project, into which pip has installed the three others."""
    directory = tmp_path_factory.mktemp("outside")
    for part in PARTS:
        uv(
            *("build", "--wheel", "--build-constraint", str(constraints), "--out-dir", "wheels"),
            str(projects / part),
            at=directory,
        )
    wheels = sorted(str(path) for path in (directory / "wheels").glob("*.whl"))
    assert len(wheels) == len(PARTS)
    uv("venv", "--seed", "environment", at=directory)
    python = str(directory / "environment" / "bin" / "python")
    uv("pip", "install", "--python", python, "--constraint", str(constraints), *PLATFORM, at=directory)
    environment = CleanEnvironment(directory / "environment", lambda _: None)
    for arguments in (("install", "--quiet", "--constraint", str(constraints), *wheels), ("check",)):
        done = environment.run("pip", *arguments, seconds=240, PIP_DISABLE_PIP_VERSION_CHECK="1")
        assert done.returncode == 0, done.stdout + done.stderr
    return environment


def uv(command: str, *arguments: str, at: Path) -> None:
    done = subprocess.run(
        ["uv", command, "--quiet", *arguments],
        cwd=at,
        env=outside_variables(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def test_all_three_are_plugged_in(installed: CleanEnvironment) -> None:
    shown = installed.run("runtara", "plugins", "--json")
    rows = json.loads(shown.stdout)
    assert {row["state"] for row in rows} == {"ok"}, shown.stdout
    plugged = {(row["group"], row["name"], row["distribution"]) for row in rows}
    assert plugged >= {
        ("runtara.agents", "checks", "acme-agent-checks"),
        ("runtara.runners", "background", "acme-runner-background"),
        ("runtara.storage", "acme", "acme-storage"),
    }
    listed = installed.run("python", "-c", "import runtara_core, acme_checks, sys; print(*sys.path, sep='\\n')")
    assert str(REPOSITORY) not in listed.stdout
    checked = installed.run("runtara", "agents", "check", "acme-agent-checks", seconds=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("part", PARTS)
def test_they_pass_the_suites_that_are_shipped(part: str, installed: CleanEnvironment, projects: Path) -> None:
    passes_its_own_tests(installed, projects / part)


@pytest.mark.native
@pytest.mark.timeout(BUILD_SECONDS)
def test_a_native_binary_uses_all_three_and_then_needs_none(installed: CleanEnvironment, tmp_path: Path) -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert json.loads(readme.partition("```json\n")[2].partition("```")[0]) == RESULT
    scenario = shutil.copy(EXAMPLES / "order-check.json", tmp_path)
    variables = {"DATA_DIR": str(tmp_path / "data"), **native_library()}
    options = ("--tenant", "acme", "--scenario", "order-check", "--target", "native", "--output", "check")
    compiled = installed.run(
        "runtara", "compile", "--workflow", scenario, *options, at=tmp_path, seconds=BUILD_SECONDS, **variables
    )
    assert compiled.returncode == 0, compiled.stderr
    binary = tmp_path / "check"

    is_killed_and_goes_on(installed, scenario, tmp_path, variables)

    away = installed.directory.with_name("away")
    installed.directory.rename(away)
    try:
        runs_alone(binary, tmp_path, away)
        pins_what_it_holds(binary, away)
    finally:
        away.rename(installed.directory)


def is_killed_and_goes_on(
    installed: CleanEnvironment, scenario: str, directory: Path, variables: dict[str, str]
) -> None:
    """Run it with the storage and the runner; kill the command and its program in the middle, and run it again."""
    ledger, journal = directory / "ledger", directory / "state" / "core.journal"
    given = json.dumps({"order": "ORDER1001", "ledger": str(ledger)})
    command = [
        *("runtara", "run", scenario, "--native", "--input", given, "--instance-id", "check-1"),
        *("--runner", "background", "--database-url", f"journal://{journal}"),
    ]
    environment = outside_variables() | {"PATH": f"{installed.directory / 'bin'}:{os.defpath}"} | variables
    with subprocess.Popen(
        [str(installed.directory / "bin" / command[0]), *command[1:]],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        told = []
        for line in running.stderr:
            told.append(line)
            if line.rstrip().endswith("::delay::wait"):
                break
        assert running.poll() is None, "".join(told)
        guests = processes_with("RUNTARA_INSTANCE_ID=check-1")
        assert guests
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in guests} == {
            min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        }
        running.kill()
        for pid in guests:
            os.kill(pid, signal.SIGKILL)
    assert ledger.read_text() == LEDGER.splitlines(keepends=True)[0]

    again = installed.run(*command, at=directory, seconds=120, **variables)
    assert (again.returncode, json.loads(again.stdout or "null")) == (0, RESULT), again.stderr
    assert "resuming instance check-1" in again.stderr
    assert ledger.read_text() == LEDGER
    assert journal.stat().st_size
    assert not (directory / "data" / "runtara.db").exists()


def runs_alone(binary: Path, directory: Path, away: Path) -> None:
    """Run it where nothing leads to an interpreter; everything that it loads comes out of the file."""
    ledger, layers = directory / "ledger-alone", directory / "layers"
    given = json.dumps({"order": "ORDER1001", "ledger": str(ledger)})
    with subprocess.Popen(
        ["/usr/bin/env", "-i", f"RUNTARA_NATIVE_CACHE_DIR={layers}", str(binary), "--input", given],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + WAIT_SECONDS
        while not ledger.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        lines = Path(f"/proc/{running.pid}/maps").read_text().splitlines()
        mapped = {Path(fields[5]) for line in lines if len(fields := line.split(maxsplit=5)) > 5}
        output, errors = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, json.loads(output or "null")) == (0, RESULT), errors
    assert ledger.read_text() == LEDGER
    loaded = {path.name.partition(".")[0] for path in mapped if path.is_relative_to(layers)}
    assert loaded >= {"_xxhash", "_mod97", "acme_checks"}
    elsewhere = (away, away.with_name("environment"), REPOSITORY, Path(sys.base_prefix))
    assert not [path for path in mapped for place in elsewhere if path.is_relative_to(place)]


def pins_what_it_holds(binary: Path, environment: Path) -> None:
    """Each distribution with its version and a digest, also the extension module that only the agent requires."""
    bill = json.loads(subprocess.run([binary, "--sbom"], capture_output=True, text=True, check=True, timeout=60).stdout)
    (site,) = (environment / "lib").glob("python*/site-packages")
    versions = {item.metadata["Name"]: item.version for item in metadata.distributions(path=[str(site)])}
    components: dict[str, Any] = {component["name"]: component for component in bill["components"]}
    for name in ("acme-agent-checks", "runtara-sdk", "runtara-core", "xxhash"):
        assert components[name]["version"] == versions[name]
        assert [item["alg"] for item in components[name]["hashes"]] == ["SHA-256"]
    assert {"acme-storage", "acme-runner-background", "pytest", "runtara-environment"}.isdisjoint(components)
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"agent checks: acme-agent-checks {versions['acme-agent-checks']} sha256:" in told


def processes_with(variable: str) -> list[int]:
    """The processes that have this variable in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


PROGRAM = """\
import asyncio
import os
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("greeted", b"once")
        await sdk.completed({"niceness": os.getpriority(os.PRIO_PROCESS, 0)})

asyncio.run(main())
"""


def test_daemons_take_them_from_their_settings(installed: CleanEnvironment, tmp_path: Path) -> None:
    core_port, management_port, port = (choose_port(socket.SOCK_DGRAM) for _ in range(3))
    variables = {
        "DATA_DIR": str(tmp_path / "data"),
        "RUNTARA_DATABASE_URL": f"journal://{tmp_path}/core.journal",
        "RUNTARA_QUIC_PORT": str(core_port),
        "RUNTARA_ADMIN_PORT": str(management_port),
        "RUNTARA_CORE_ADDR": f"127.0.0.1:{core_port}",
        "RUNTARA_ENV_QUIC_PORT": str(port),
        "RUNTARA_ENVIRONMENT_ADDR": f"127.0.0.1:{port}",
        "RUNTARA_RUNNER": "background",
    }
    refused = installed.run("runtara", "environment", at=tmp_path, **variables)
    assert refused.returncode == 2
    assert "journal:// is a storage of core: set RUNTARA_ENVIRONMENT_DATABASE_URL" in refused.stderr
    variables["RUNTARA_ENVIRONMENT_DATABASE_URL"] = f"sqlite:///{tmp_path}/environment.db"

    program = tmp_path / "greet"
    program.write_text(f"#!{installed.directory}/bin/python\n{PROGRAM}")
    with ExitStack() as daemons:
        core = daemons.enter_context(daemon(installed, "core", tmp_path, variables))
        daemons.enter_context(daemon(installed, "environment", tmp_path, variables))
        owner = ("--tenant", "acme")
        image = ctl(installed, variables, "register", "--binary", str(program), *owner, "--name", "greet").strip()
        ctl(installed, variables, "start", "--image", image, *owner, "--instance-id", "greet-1")
        ended = json.loads(ctl(installed, variables, "wait", "greet-1"))
        niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        assert (ended["status"], ended["output"]) == ("completed", {"niceness": niceness})
        core.kill()
        core.wait()
        daemons.enter_context(daemon(installed, "core", tmp_path, variables))
        kept = await_status(installed, variables, "greet-1")
        assert (kept["status"], kept["output"]) == (ended["status"], ended["output"])


@contextmanager
def daemon(
    installed: CleanEnvironment, name: str, directory: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A daemon that serves; it is killed at the end."""
    with subprocess.Popen(
        [str(installed.directory / "bin" / "runtara"), name],
        cwd=directory,
        env=outside_variables() | variables,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert "serves" in process.stdout.readline()
            yield process
        finally:
            process.kill()


def await_status(installed: CleanEnvironment, variables: dict[str, str], instance_id: str) -> dict[str, Any]:
    """What is known of an instance, once the environment has noticed that core was started anew."""
    deadline = time.monotonic() + 60
    while True:
        done = installed.run("runtara-ctl", "status", instance_id, **variables)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        assert "core cannot be reached" in done.stderr
        assert time.monotonic() < deadline, done.stderr


def ctl(installed: CleanEnvironment, variables: dict[str, str], *arguments: str) -> str:
    done = installed.run("runtara-ctl", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


HOOKS = {
    "runtara.storage": ("runtara_core", "runtara_storage(database_url)"),
    "runtara.runners": ("runtara_environment", "runtara_runners()"),
}
FAULTS = {
    "unimportable": ("import no_such_module\n", "", "ModuleNotFoundError: No module named 'no_such_module'"),
    "leaving": ("import sys; sys.exit('no licence')\n", "", "SystemExit: no licence"),
    "hanging": ("import threading; threading.Event().wait(60)\n", "", "it did not finish loading within 1 s"),
    "raising": ("", "raise RuntimeError('out of order')\n", "RuntimeError: out of order"),
    "quitting": ("", "raise SystemExit('no licence')\n", "SystemExit: no licence"),
}


@contextmanager
def broken_plugins(directory: Path, group: str, host: str) -> Iterator[dict[str, str]]:
    """Distributions that installers would have left, each with a fault; the variables with which they are found."""
    for name, (at_import, in_hook, _) in {**FAULTS, "outdated": ("", "return []\n", "")}.items():
        requirement = f"{host}>=9" if name == "outdated" else f"{host}>=0.1,<0.2"
        metadata_directory = directory / f"{name}-1.0.dist-info"
        metadata_directory.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requirement}\n"
        (metadata_directory / "METADATA").write_text(text)
        (metadata_directory / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_plugin\n")
        package, hook = HOOKS[group]
        source = f"from {package}.hookspecs import hookimpl\n@hookimpl\ndef {hook}:\n    {in_hook or 'pass'}\n"
        (directory / f"{name}_plugin.py").write_text(at_import + source)
    yield {"PYTHONPATH": str(directory), "RUNTARA_PLUGIN_LOAD_SECONDS": "1"}


@pytest.mark.parametrize(
    ("group", "host", "choice", "missing"),
    [
        (
            "runtara.storage",
            "runtara-core",
            ("--database-url", "nowhere://x"),
            "no storage for the database URL scheme 'nowhere': installed are acme, postgres, sqlite",
        ),
        (
            "runtara.runners",
            "runtara-environment",
            ("--runner", "nobody"),
            "there is no runner 'nobody': installed are background, native, oci",
        ),
    ],
)
def test_broken_ones_are_named_and_take_nothing_down(
    installed: CleanEnvironment, tmp_path: Path, group: str, host: str, choice: tuple[str, str], missing: str
) -> None:
    scenario = str(REPOSITORY / "examples" / "language" / "billing.json")
    with broken_plugins(tmp_path / "site", group, host) as variables:
        refused = installed.run("runtara", "run", scenario, *choice, at=tmp_path, **variables)
        assert refused.returncode == 2, refused.stderr
        (message,) = (line for line in refused.stderr.splitlines() if line.startswith("error: "))
        assert message.startswith(f"error: {missing}; ")
        for name, (_, _, reason) in FAULTS.items():
            assert name in message
            assert reason in message
        assert f"it requires {host}>=9, but {host} 0.1.0 is installed: install a version of outdated" in message

        listed = installed.run("runtara", "plugins", "--group", group, "--json", **variables)
        states = {row["name"]: (row["state"], row["reason"]) for row in json.loads(listed.stdout)}
        assert states["outdated"][0] == "refused"
        for name in ("unimportable", "leaving", "hanging"):
            assert states[name][0] == "broken"
            assert FAULTS[name][2] in states[name][1]
        assert states["acme" if group == "runtara.storage" else "background"] == ("ok", None)


def promised_modules(package: str) -> set[str]:
    """The modules in the table of the README that says what a plugin needs."""
    readme = (REPOSITORY / "packages" / package / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| Module \|.*?\n\n", readme, re.DOTALL | re.MULTILINE)
    assert table is not None
    return set(re.findall(r"`(runtara_[\w.]+)`", "".join(line.split("|")[1] for line in table[0].split("\n") if line)))


@pytest.mark.parametrize(("part", "package"), [("storage", "runtara-core"), ("runner", "runtara-environment")])
def test_they_need_the_promised_modules_alone(part: str, package: str) -> None:
    """The example, what `runtara new` writes, and the plugin of the guide."""
    template = REPOSITORY / "packages/runtara-sdk/src/runtara_sdk/cli/new" / f"{part}-cookiecutter"
    guide = REPOSITORY / "docs" / "guides" / f"write-a-{part}.md"
    places = [sorted((EXAMPLES / part).rglob("*.py")), sorted(template.rglob("*.py")), [guide]]
    for paths in places:
        text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        imported = set(re.findall(r"^ *(?:from|import) (runtara_[\w.]+)", text, re.MULTILINE))
        assert imported
        assert imported <= promised_modules(package)
