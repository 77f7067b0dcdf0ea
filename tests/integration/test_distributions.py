"""Every distribution, built as users get it and installed alone into a clean environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clean_environment import (
    NAMES,
    REPOSITORY,
    CleanEnvironment,
    Distributions,
    native_library,
    outside_variables,
)

WITHOUT_MODULES = {"runtara"}  # it only requires the others
# What `runtara_sdk` is promised not to load when it is imported: programs pay for what they use.
HEAVY_MODULES = ("aioquic", "cryptography", "google.protobuf", "pydantic")

TOTALS = {
    "name": "Totals",
    "entryPoint": "sort",
    "inputSchema": {"counts": {"type": "array", "required": True}},
    "steps": {
        "sort": {
            "stepType": "Agent",
            "agentId": "transform",
            "capabilityId": "sort",
            "inputMapping": {"value": {"valueType": "reference", "value": "data.counts"}},
        },
        "end": {
            "stepType": "Finish",
            "inputMapping": {"sorted": {"valueType": "reference", "value": "steps.sort.outputs.items"}},
        },
    },
    "executionPlan": [{"fromStep": "sort", "toStep": "end"}],
}

IMPORT_EACH = """\
import importlib, sys, traceback
failed = False
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed = True
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
sys.exit(failed)
"""


def project_file(name: str) -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))


def package_files(name: str) -> set[str]:
    source = REPOSITORY / "packages" / name / "src"
    return {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def module_names(name: str) -> list[str]:
    paths = (Path(path) for path in package_files(name))
    files = (path.with_suffix("").parts for path in paths if path.suffix == ".py")
    # Templates of projects are files of the package, too, but no modules.
    parts = [part for part in files if all(name.isidentifier() for name in part)]
    return sorted(".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts if p[-1] != "__main__")


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_has_every_file_of_the_package_and_the_licence(name: str, distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel(name)) as wheel:
        members = wheel.namelist()
        metadata_folder = f"{name.replace('-', '_')}-{project_file(name)['project']['version']}.dist-info"
        metadata = HeaderParser().parsestr(wheel.read(f"{metadata_folder}/METADATA").decode())
        licence = wheel.read(f"{metadata_folder}/licenses/LICENSE")
    assert {member for member in members if not member.startswith(metadata_folder)} == package_files(name)
    assert (f"{name.replace('-', '_')}/py.typed" in members) == (name not in WITHOUT_MODULES)
    assert licence == (REPOSITORY / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "AGPL-3.0-or-later"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Summary"].endswith(".")
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_a_wheel_of_a_clone_has_the_files_of_one_of_the_source_archive(
    distributions: Distributions, tmp_path: Path
) -> None:
    """Installers build from a clone without an archive in between."""
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--all-packages", "--out-dir", str(tmp_path)],
        cwd=REPOSITORY,
        env=outside_variables(),
        check=True,
        timeout=240,
    )
    directly = Distributions(tmp_path)
    for name in NAMES:
        with zipfile.ZipFile(directly.wheel(name)) as one, zipfile.ZipFile(distributions.wheel(name)) as other:
            assert sorted(one.namelist()) == sorted(other.namelist()), name


@pytest.mark.parametrize("name", NAMES)
def test_an_sdist_has_its_readme_and_licence(name: str, distributions: Distributions) -> None:
    with tarfile.open(distributions.source(name)) as archive:
        members = {Path(*Path(member).parts[1:]).as_posix() for member in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml"} <= members
    assert {f"src/{file}" for file in package_files(name)} <= members


@pytest.mark.parametrize("name", sorted({*NAMES} - WITHOUT_MODULES))
def test_a_wheel_installs_alone_imports_and_starts(
    name: str, distributions: Distributions, clean_environment: CleanEnvironment
) -> None:
    clean_environment.install(f"{name} @ {distributions.wheel(name).as_uri()}")
    modules = module_names(name)
    extras = project_file(name)["project"].get("optional-dependencies", {})
    # Suites for authors of plugins may need a test runner; where they do, the extra `testing` brings it.
    suites = [module for module in modules if "testing" in module.split(".") and "testing" in extras]
    imported = clean_environment.run("python", "-c", IMPORT_EACH, *(m for m in modules if m not in suites))
    assert imported.returncode == 0, imported.stderr

    for script in project_file(name)["project"].get("scripts", {}):
        shown = clean_environment.run(script, "--help")
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith(f"Usage: {script} ")
        assert "\\b" not in shown.stdout  # a marker that is not understood

    if "testing" in extras:
        clean_environment.install(f"{name}[testing] @ {distributions.wheel(name).as_uri()}")
        imported = clean_environment.run("python", "-c", IMPORT_EACH, *suites)
        assert imported.returncode == 0, imported.stderr


def test_the_sdk_alone_has_a_command_that_names_what_is_missing(
    distributions: Distributions, clean_environment: CleanEnvironment
) -> None:
    clean_environment.install(f"runtara-sdk @ {distributions.wheel('runtara-sdk').as_uri()}")
    for program in ("runtara", "runtara-ctl"):
        version = clean_environment.run(program, "--version")
        assert version.stdout.split()[-1] == project_file("runtara-sdk")["project"]["version"]

    scenario = str(REPOSITORY / "examples" / "order-processing.json")
    refused = clean_environment.run("runtara", "run", scenario)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert "runtara-" in line  # the distribution to install

    loaded = clean_environment.run("python", "-c", "import sys, runtara_sdk; print(*sys.modules)")
    assert set(HEAVY_MODULES) & set(loaded.stdout.split()) == set()


def test_one_name_installs_the_whole(distributions: Distributions, clean_environment: CleanEnvironment) -> None:
    clean_environment.install(f"runtara @ {distributions.wheel('runtara').as_uri()}")
    scenario = clean_environment.directory / "totals.json"
    scenario.write_text(json.dumps(TOTALS), encoding="utf-8")
    ran = clean_environment.run("runtara", "run", str(scenario), "--input", '{"counts": [3, 1, 2]}', seconds=120)
    assert (ran.returncode, json.loads(ran.stdout or "null")) == (0, {"sorted": [1, 2, 3]}), ran.stderr
    listed = clean_environment.run("runtara", "plugins", "--json", seconds=120)
    rows = json.loads(listed.stdout)
    assert {row["state"] for row in rows} == {"ok"}, rows
    assert {row["distribution"] for row in rows} >= {*NAMES} - WITHOUT_MODULES - {"runtara-workflow-stdlib"}


def test_the_environment_does_without_the_compiler(
    distributions: Distributions, clean_environment: CleanEnvironment
) -> None:
    clean_environment.install(f"runtara-environment @ {distributions.wheel('runtara-environment').as_uri()}")
    for command in ("core", "environment", "dev"):
        assert clean_environment.run("runtara", command, "--help").returncode == 0
    scenario = clean_environment.directory / "totals.json"
    scenario.write_text(json.dumps(TOTALS), encoding="utf-8")
    refused = clean_environment.run("runtara", "run", str(scenario))
    assert refused.returncode == 2
    assert "pip install runtara-compiler" in refused.stderr


def test_the_compiler_does_without_the_environment(
    distributions: Distributions, clean_environment: CleanEnvironment
) -> None:
    clean_environment.install(f"runtara-compiler @ {distributions.wheel('runtara-compiler').as_uri()}")
    clean_environment.install("runtara-agents-transform")
    scenario = clean_environment.directory / "totals.json"
    scenario.write_text(json.dumps(TOTALS), encoding="utf-8")
    options = ("--workflow", str(scenario), "--tenant", "acme", "--scenario", "totals")
    compiled = clean_environment.run("runtara", "compile", *options, "--target", "python", seconds=120)
    assert compiled.returncode == 0, compiled.stderr
    refused = clean_environment.run("runtara", "run", str(scenario))
    assert refused.returncode == 2
    assert "pip install runtara-environment" in refused.stderr


def test_the_fast_extra_of_the_sdk_brings_the_faster_quic_library(
    distributions: Distributions, clean_environment: CleanEnvironment
) -> None:
    clean_environment.install(f"runtara-sdk[fast] @ {distributions.wheel('runtara-sdk').as_uri()}")
    code = "from runtara_sdk.transport.quic.library_choice import select_library; print(select_library().name)"
    chosen = clean_environment.run("python", "-c", code)
    assert chosen.stdout.strip() == "qh3", chosen.stderr


def release_of(name: str, version: str, directory: Path) -> Path:
    """The wheel of a distribution as a later release would be."""
    copy = directory / f"{name}-{version}"
    shutil.copytree(REPOSITORY / "packages" / name, copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    project = copy / "pyproject.toml"
    own = project_file(name)["project"]["version"]
    project.write_text(project.read_text().replace(f'version = "{own}"', f'version = "{version}"'))
    command = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(directory), str(copy)]
    built = subprocess.run(command, cwd=directory, env=outside_variables(), capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    (wheel,) = directory.glob(f"{name.replace('-', '_')}-{version}-*.whl")
    return wheel


@pytest.mark.parametrize(("version", "is_compatible"), [("0.1.9", True), ("0.2.0", False)])
def test_releases_go_together_as_their_ranges_say(
    version: str, is_compatible: bool, tmp_path: Path, distributions: Distributions
) -> None:
    sdk = release_of("runtara-sdk", version, tmp_path)
    environment = CleanEnvironment(tmp_path / "environment", lambda _: None)
    pins = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    (tmp_path / "pins.txt").write_text("\n".join(pins["constraint-dependencies"]))
    older = [distributions.wheel(name) for name in ("runtara-agents-http", "runtara-core", "runtara-environment")]

    def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["uv", *arguments], cwd=tmp_path, env=outside_variables(), capture_output=True, text=True, timeout=120
        )

    uv("venv", "--quiet", str(environment.directory))
    python = str(environment.directory / "bin" / "python")
    options = ["--quiet", "--python", python, "--constraint", "pins.txt"]
    installed = uv("pip", "install", *options, str(sdk), *map(str, older))
    if not is_compatible:
        assert installed.returncode != 0
        assert "runtara-sdk>=0.1.0,<0.2" in installed.stderr.replace(" ", "")
        return
    assert installed.returncode == 0, installed.stderr
    assert uv("pip", "check", "--python", python).returncode == 0
    shown = environment.run("runtara", "plugins")
    assert shown.returncode == 0, shown.stderr
    code = "import runtara_agents_http, runtara_environment.daemon; from importlib.metadata import version as v; "
    found = environment.run("python", "-c", code + "print(v('runtara-sdk'), v('runtara-core'))")
    assert found.stdout.split() == [version, project_file("runtara-core")["project"]["version"]]


@pytest.mark.native
def test_a_product_ships_a_bundle_of_agents(clean_environment: CleanEnvironment) -> None:
    example = REPOSITORY / "examples" / "product_bundle"
    for requirement in ("runtara-environment", "runtara-compiler", f"acme-stdlib @ {example.as_uri()}"):
        clean_environment.install(requirement)
    variables = {"RUNTARA_STDLIB_NAME": "acme_stdlib", **native_library()}
    given = ("--input", '{"lines": [{"price": 19.90, "count": 2}]}')
    for options in ((), ("--native",)):
        ran = clean_environment.run(
            "runtara", "run", str(example / "orders.json"), *given, *options, seconds=300, **variables
        )
        assert (ran.returncode, json.loads(ran.stdout or "null")) == (0, {"total": "39.80"}), ran.stderr

    checked = clean_environment.run("runtara", "agents", "check", "acme-stdlib", "--json", **variables)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert [agent["agentId"] for agent in json.loads(checked.stdout)["agents"]] == ["orders"]

    spec = clean_environment.run("runtara", "compile", "--spec", **variables)
    offered = {agent["id"] for agent in json.loads(spec.stdout)["agents"]}
    assert offered >= {"csv", "file", "orders", "sftp", "transform"}
    assert "http" not in offered
    order = str(REPOSITORY / "examples" / "order-processing.json")
    refused = clean_environment.run("runtara", "run", order, **variables)
    assert refused.returncode == 2
    assert "[E020]" in refused.stderr
    assert "orders, sftp" in refused.stderr
    missing = clean_environment.run("runtara", "run", order, RUNTARA_STDLIB_NAME="acme_stdlb")
    assert missing.returncode == 2
    assert "error: RUNTARA_STDLIB_NAME=acme_stdlb: no such module is installed" in missing.stderr
