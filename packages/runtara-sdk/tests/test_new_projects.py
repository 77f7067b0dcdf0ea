"""`runtara new storage`, `runner` and `stdlib`: what they write and refuse, and that cookiecutter gives the same.

What they share with `runtara new agent` (answers, directories, failures) is in `test_new_agent.py`.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cookiecutter.main import cookiecutter
from packaging.requirements import Requirement
from runtara_sdk.cli.main import runtara
from runtara_sdk.cli.new import KINDS, template_directory
from runtara_sdk.cli.new.answers import MAXIMUM_NAME_CHARACTERS, RunnerAnswers, StdlibAnswers, StorageAnswers
from runtara_sdk.cli.new.commands import LICENCES
from runtara_sdk.cli.new.directory import write_project
from runtara_sdk.cli.new.template import ProjectTemplate
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.testing.plugin_site import PluginSite

REPOSITORY = Path(__file__).parents[3]
NEW_KINDS = [kind for kind in KINDS if kind != "agent"]
DISTRIBUTIONS = {
    "storage": "runtara-storage-night-ledger",
    "runner": "runtara-runner-night-ledger",
    "stdlib": "night-ledger-stdlib",
}
ANSWERS = {"storage": StorageAnswers, "runner": RunnerAnswers, "stdlib": StdlibAnswers}
HARD_TEXTS = {"description": r'Says "hi", & <\o/> \n "', "author": "Zoë O'Neil \\ Söhne"}
SHARED_QUESTIONS = ("distribution", "licence", "description", "author")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(runtara, ["new", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def files_below(path: Path) -> dict[str, bytes]:
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def texts_of(kind: str, **answers: str) -> dict[str, str]:
    project = ProjectTemplate(template_directory(kind)).render(answers)
    return {name: content.decode() for name, content in project.files.items()}


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_every_kind_is_valid(kind: str) -> None:
    texts = texts_of(kind, name="night_ledger", **HARD_TEXTS)
    module = DISTRIBUTIONS[kind].replace("-", "_")
    for name, text in texts.items():
        assert "cookiecutter" not in text, name
        assert "{%" not in text, name
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        if name.endswith(".py"):
            compile(text, name, "exec")
        if name.endswith(".json"):
            json.loads(text)
    written = tomllib.loads(texts["pyproject.toml"])["project"]
    assert written["name"] == DISTRIBUTIONS[kind]
    assert written["description"] == HARD_TEXTS["description"]
    assert written["authors"] == [{"name": HARD_TEXTS["author"]}]
    assert {f"src/{module}/py.typed", f"src/{module}/__init__.py", "tests/test_conformance.py"} <= set(texts)
    assert "${{ matrix.python }}" in texts[".github/workflows/tests.yml"]
    assert texts["LICENSE"].startswith("MIT License")
    entry_points = {
        "storage": {"runtara.storage": {"night-ledger": f"{module}.plugin"}},
        "runner": {"runtara.runners": {"night_ledger": f"{module}.plugin"}},
        "stdlib": {},
    }
    assert written.get("entry-points", {}) == entry_points[kind]


@pytest.mark.parametrize("name", ["a", "night_ledger", "x" * MAXIMUM_NAME_CHARACTERS])
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_every_kind_is_formatted_and_free_of_findings(kind: str, name: str, tmp_path: Path) -> None:
    project = ProjectTemplate(template_directory(kind)).render({"name": name})
    made = write_project(tmp_path / project.directory, project.files)
    for check in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "."], cwd=made, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("licence", LICENCES)
@pytest.mark.parametrize("kind", NEW_KINDS)
def test_cookiecutter_gives_the_same_files(kind: str, licence: str, tmp_path: Path) -> None:
    answers = {"name": "night_ledger", "licence": licence, **HARD_TEXTS}
    config = tmp_path / "cookiecutter.yaml"  # what the user of this machine configured has no say
    config.write_text(f"cookiecutters_dir: {tmp_path / 'cloned'}\nreplay_dir: {tmp_path / 'replay'}\n")
    canonical = str(REPOSITORY / "templates" / f"{kind}-cookiecutter")
    made = cookiecutter(
        canonical, no_input=True, extra_context=answers, output_dir=str(tmp_path), config_file=str(config)
    )
    project = ProjectTemplate(template_directory(kind)).render(answers)
    assert Path(made).name == project.directory == DISTRIBUTIONS[kind]
    assert files_below(Path(made)) == project.files


def test_the_repository_links_each_template() -> None:
    linked = {path.name: path.resolve() for path in (REPOSITORY / "templates").iterdir()}
    assert linked == {f"{kind}-cookiecutter": template_directory(kind) for kind in KINDS}


def test_every_kind_asks_alike() -> None:
    asked = {kind: json.loads((template_directory(kind) / "cookiecutter.json").read_text()) for kind in KINDS}
    for questions in asked.values():
        assert tuple(questions["licence"]) == LICENCES
        assert questions["__prompts__"].keys() == {name for name in questions if not name.startswith("_")}
        assert set(SHARED_QUESTIONS) <= questions.keys()
        for same in ("author", "__module", "__quoted_author", "__quoted_description", "_jinja2_env_vars"):
            assert questions[same] == asked["agent"][same]
    for file in (".gitignore", "LICENSE"):
        project = "{{cookiecutter.distribution}}"
        assert len({(template_directory(kind) / project / file).read_bytes() for kind in KINDS}) == 1


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_project_asks_for_runtara_as_our_own_distributions_do(kind: str) -> None:
    table = tomllib.loads(texts_of(kind)["pyproject.toml"])
    listed = [Requirement(text) for text in (*table["project"]["dependencies"], *table["dependency-groups"]["dev"])]
    own = tomllib.loads((REPOSITORY / "packages" / "runtara-core" / "pyproject.toml").read_text())["project"]
    (expected,) = [each.specifier for each in map(Requirement, own["dependencies"]) if each.name == "runtara-sdk"]
    ranges = {each.name: each.specifier for each in listed if each.name.startswith("runtara")}
    assert ranges
    assert set(ranges.values()) == {expected}


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_of_the_help_work(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run(kind, "--help")[1]
    examples = re.findall(r"^ +runtara new (.+)$", shown, re.MULTILINE)
    assert len(examples) >= 3
    for number, example in enumerate(examples):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        assert run(*shlex.split(example))[0] == 0
    assert set(re.findall(r"^ +(--[a-z-]+)", shown, re.MULTILINE)) >= {
        "--distribution",
        "--licence",
        "--description",
        "--author",
        "--output-directory",
        "--json",
    }


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("storage", "--database-url night-ledger:///.data/state.db"),
        ("runner", "--runner night_ledger"),
        ("stdlib", "export RUNTARA_STDLIB_NAME=night_ledger_stdlib"),
    ],
)
def test_the_command_says_what_comes_next(kind: str, step: str, tmp_path: Path) -> None:
    code, out = run(kind, "night_ledger", "--output-directory", str(tmp_path))
    project = tmp_path / DISTRIBUTIONS[kind]
    assert code == 0
    first, *steps = (line.strip() for line in out.splitlines())
    assert first == f"made {project} with {len(files_below(project))} files; next:"
    assert steps[:2] == [f"cd {project}", "pip install -e . --group dev"]
    assert "pytest" in steps
    assert step in out
    with pytest.raises(InvalidInputError, match="exists and is not empty"):
        run(kind, "night_ledger", "--output-directory", str(tmp_path))

    code, out = run(kind, "night_ledger", "--json", "--output-directory", str(tmp_path / "other"))
    document = json.loads(out)
    assert document["files"] == sorted(files_below(project))
    assert [each.replace("/other", "") for each in document["nextSteps"]] == steps


@pytest.mark.parametrize(
    ("kind", "answers", "reason"),
    [
        ("storage", {"name": "Night-Ledger"}, "the name of the storage 'Night-Ledger' must .* try 'night_ledger'"),
        ("runner", {"name": "class"}, "the name of the runner 'class' is a keyword"),
        ("stdlib", {"name": "3"}, "the name of the product '3' must be"),
        ("storage", {"distribution": "runtara-core"}, "which the project needs"),
        ("runner", {"distribution": "runtara_environment"}, "which the project needs"),
        ("stdlib", {"author": " "}, "--author is empty"),
    ],
)
def test_answers_are_refused_with_a_reason(kind: str, answers: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        ANSWERS[kind](**{"name": "night_ledger", **answers})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("storage", "postgresql"), "'postgresql' is a storage of Runtara itself; choose another name"),
        (("runner", "auto"), "'auto' is a runner of Runtara itself; choose another name"),
        (("stdlib", "file"), "runtara-sdk has an agent 'file' already; choose another name"),
        (("stdlib", "runtara_workflow"), "the distribution 'runtara-workflow-stdlib' gives .* the project needs"),
        (("runner", "other", "--distribution", "click"), "the module 'click' is installed already"),
        (("agent", "other", "--distribution", "click"), "the module 'click' is installed already"),
    ],
)
def test_names_that_are_taken_are_refused(arguments: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        run(*arguments, "--output-directory", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "group"), [("storage", "runtara.storage"), ("runner", "runtara.runners")])
def test_names_of_installed_plugins_are_refused(
    kind: str, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    PluginSite(site).add("ledger", "", group=group)
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "ledger")  # switched off, it has its name all the same
    place = ("--output-directory", str(tmp_path / "made"))
    with pytest.raises(InvalidInputError, match=f"^acme-ledger has a {kind} 'ledger' already; choose another name$"):
        run(kind, "ledger", *place)
    with pytest.raises(InvalidInputError, match="acme-ledger has"):
        run(kind, "ledger", *place, "--distribution", "acme-ledger")

    # The same project, begun before and installed from its directory.
    (site / "acme_ledger-1.2.dist-info" / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
    assert run(kind, "ledger", *place, "--distribution", "acme.ledger")[0] == 0
