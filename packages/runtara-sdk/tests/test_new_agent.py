"""`runtara new agent`: what it writes, what it refuses, and that cookiecutter gives the same."""

from __future__ import annotations

import itertools
import json
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
from runtara_sdk.cli.new import directory, template_directory
from runtara_sdk.cli.new.answers import MAXIMUM_NAME_CHARACTERS, AgentAnswers
from runtara_sdk.cli.new.commands import LICENCES
from runtara_sdk.cli.new.directory import write_project
from runtara_sdk.cli.new.template import ProjectTemplate
from runtara_sdk.errors import InvalidInputError

CANONICAL = Path(__file__).parents[3] / "templates" / "agent-cookiecutter"
VARIANTS = [
    {"connection_type": connection_type, "capabilities": capabilities}
    for connection_type, capabilities in itertools.product(("none", "weather_service"), ("sync", "async"))
]
VARIANT_NAMES = ["-".join(variant.values()) for variant in VARIANTS]
HARD_TEXTS = {"description": r'Says "hi", & <\o/> \n "', "author": "Zoë O'Neil \\ Söhne"}


@pytest.fixture
def template() -> ProjectTemplate:
    return ProjectTemplate(template_directory("agent"))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(runtara, ["new", "agent", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def files_below(path: Path) -> dict[str, bytes]:
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("variant", VARIANTS, ids=VARIANT_NAMES)
def test_every_variant_is_valid(variant: dict[str, str], template: ProjectTemplate) -> None:
    project = template.render({"name": "weather_report", **variant, **HARD_TEXTS})
    texts = {name: content.decode() for name, content in project.files.items()}
    assert project.directory == "runtara-agents-weather-report"
    for name, text in texts.items():
        assert "cookiecutter" not in text, name
        assert "{%" not in text, name
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        if name.endswith(".py"):
            compile(text, name, "exec")
    written = tomllib.loads(texts["pyproject.toml"])["project"]
    assert written["description"] == HARD_TEXTS["description"]
    assert written["authors"] == [{"name": HARD_TEXTS["author"]}]
    assert written["entry-points"]["runtara.agents"] == {"weather_report": "runtara_agents_weather_report"}
    scenario = json.loads(texts["scenarios/shorten.json"])
    assert scenario["steps"]["shorten"]["agentId"] == "weather_report"
    assert "src/runtara_agents_weather_report/py.typed" in texts
    assert "${{ matrix.python }}" in texts[".github/workflows/tests.yml"]

    has_connection = variant["connection_type"] != "none"
    for name in ("connection.py", "sending.py"):
        assert (f"src/runtara_agents_weather_report/{name}" in texts) == has_connection
    assert ("tests/test_saving.py" in texts) != has_connection
    coroutine = "async def shorten" in texts["src/runtara_agents_weather_report/shortening.py"]
    assert coroutine == (variant["capabilities"] == "async")


@pytest.mark.parametrize("name", ["a", "weather_report", "x" * MAXIMUM_NAME_CHARACTERS])
@pytest.mark.parametrize("variant", VARIANTS, ids=VARIANT_NAMES)
def test_every_variant_is_formatted_and_free_of_findings(
    variant: dict[str, str], name: str, template: ProjectTemplate, tmp_path: Path
) -> None:
    project = template.render({"name": name, **variant})
    made = write_project(tmp_path / project.directory, project.files)
    for check in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "."], cwd=made, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("licence", LICENCES)
@pytest.mark.parametrize("variant", VARIANTS, ids=VARIANT_NAMES)
def test_cookiecutter_gives_the_same_files(
    variant: dict[str, str], licence: str, template: ProjectTemplate, tmp_path: Path
) -> None:
    answers = {"name": "weather_report", "licence": licence, **variant, **HARD_TEXTS}
    config = tmp_path / "cookiecutter.yaml"  # what the user of this machine configured has no say
    config.write_text(f"cookiecutters_dir: {tmp_path / 'cloned'}\nreplay_dir: {tmp_path / 'replay'}\n")
    made = cookiecutter(
        str(CANONICAL), no_input=True, extra_context=answers, output_dir=str(tmp_path), config_file=str(config)
    )
    project = template.render(answers)
    assert Path(made).name == project.directory
    assert files_below(Path(made)) == project.files


def test_the_template_of_the_repository_is_the_one_that_is_shipped(template: ProjectTemplate) -> None:
    assert CANONICAL.resolve() == template_directory("agent")
    assert tuple(template.choices("licence")) == LICENCES
    assert template.choices("name") == []


def test_the_project_asks_for_the_sdk_as_our_own_agents_do(template: ProjectTemplate) -> None:
    listed = tomllib.loads(template.render({}).files["pyproject.toml"].decode())["project"]["dependencies"]
    ranges = {requirement.name: str(requirement.specifier) for requirement in map(Requirement, listed)}
    assert ranges == {"pydantic": "<3,>=2.9", "runtara-sdk": "<0.2,>=0.1.0"}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"name": "Weather-Report"}, "must be lower-case words with underscores; try 'weather_report'"),
        ({"name": "3d"}, "must be lower-case words with underscores; try 'd'"),
        ({"name": "42"}, "beginning with a letter"),
        ({"name": ""}, "must be lower-case words"),
        ({"name": "a\n"}, "must be lower-case words"),
        ({"name": "wéather"}, "must be lower-case words"),
        ({"name": "class"}, "is a keyword of Python"),
        ({"name": "x" * 41}, "has 41 characters: at most 40"),
        ({"connection_type": "Shop Token"}, "the connection type 'Shop Token' .* try 'shop_token'"),
        ({"distribution": "two words"}, "is no name of a distribution"),
        ({"distribution": "-weather"}, "is no name of a distribution"),
        ({"distribution": "weather--report"}, "a single"),
        ({"distribution": "../weather"}, "is no name of a distribution"),
        ({"distribution": "3d-agents"}, "begins with a digit"),
        ({"distribution": "json"}, "which Python itself has"),
        ({"distribution": "Import"}, "is a keyword of Python"),
        ({"distribution": "runtara.sdk"}, "which the project needs"),
        ({"distribution": "a" * 56}, "at most 55"),
        ({"description": "two\nlines"}, "--description must be one line"),
        ({"author": " "}, "--author is empty"),
        ({"author": "x" * 301}, "at most 300"),
    ],
)
def test_answers_are_refused_with_a_reason(answers: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        AgentAnswers(**{"name": "weather", **answers})


def test_the_template_refuses_what_it_does_not_offer(template: ProjectTemplate) -> None:
    for answers, reason in (
        ({"nmae": "x"}, "does not ask for nmae"),
        ({"__module": "os"}, "does not ask for __module"),
        ({"licence": "GPL"}, "licence must be one of MIT, "),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            template.render(answers)


def test_the_command_writes_a_project_and_says_what_comes_next(tmp_path: Path) -> None:
    arguments = ("--distribution", "Acme.Weather", "--licence", "bsd-3-clause", "--output-directory", str(tmp_path))
    code, out = run("weather", *arguments, "--async", "--author", "Acme", "--description", "Tells the weather.")
    project = tmp_path / "Acme.Weather"
    assert code == 0
    first, *steps = (line.strip() for line in out.splitlines())
    assert first == f"made {project} with {len(files_below(project))} files; next:"
    assert steps[:3] == [f"cd {project}", "pip install -e .", "runtara agents check Acme.Weather"]
    assert len([step for step in steps if step.startswith("runtara run ")]) == 2
    assert (project / "src" / "acme_weather" / "agent.py").is_file()
    assert "Copyright (c) Acme\n" in (project / "LICENSE").read_text()
    assert (project / "README.md").read_text().startswith("# Acme.Weather\n\nTells the weather.\n")
    assert project.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["Acme.Weather"]


def test_the_command_prints_json(tmp_path: Path) -> None:
    code, out = run("weather", "--output-directory", str(tmp_path / "new" / "place"), "--json")
    document = json.loads(out)
    project = tmp_path / "new" / "place" / "runtara-agents-weather"
    assert (code, document["directory"]) == (0, str(project))
    assert document["files"] == sorted(files_below(project))
    assert document["nextSteps"][1] == "pip install -e ."


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    project = tmp_path / "runtara-agents-weather"
    project.mkdir()
    assert run("weather", "--output-directory", str(tmp_path))[0] == 0  # it was empty
    (project / "README.md").write_text("mine")
    with pytest.raises(InvalidInputError, match="exists and is not empty; remove it, or give --output-directory"):
        run("weather", "--output-directory", str(tmp_path))
    assert (project / "README.md").read_text() == "mine"

    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="is no directory"):
        write_project(tmp_path / "file", {})
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="is no directory"):
        write_project(tmp_path / "link", {})


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "_move", full)
    with pytest.raises(OSError, match="No space left"):
        write_project(tmp_path / "new" / "project", {"src/a.py": b""})
    assert list(tmp_path.iterdir()) == []


def test_names_that_installed_agents_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="runtara-sdk has an agent 'file' already; choose another name"):
        run("file", "--output-directory", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_ends_with_2() -> None:
    for arguments in ((), ("weather", "--licence", "GPL"), ("weather", "--nothing")):
        assert run(*arguments)[0] == 2


def test_listing_the_command_loads_nothing_heavy() -> None:
    code = "import sys; from runtara_sdk.cli.new import commands; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert {"jinja2", "pydantic", "importlib.metadata", "tempfile"} & set(shown.stdout.split()) == set()
