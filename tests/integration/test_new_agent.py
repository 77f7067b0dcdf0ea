"""What `runtara new agent` makes works where users make it: installed, tested, checked, run, and run natively."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.integration.clean_environment import (
    REPOSITORY,
    CleanEnvironment,
    native_library,
    passes_its_own_tests,
)

PLATFORM = ("runtara-environment", "runtara-compiler")
COMMANDS_FROM_NOTHING_TO_A_NATIVE_RUN = 6
OUTPUT = {"text": "Durable execution..."}


def documented_commands() -> list[list[str]]:
    """The way from nothing to a native run, as the README of the SDK tells it: one command a line."""
    readme = (REPOSITORY / "packages" / "runtara-sdk" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^### Begin an agent\n.*?^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


@pytest.mark.native
def test_the_documented_commands_lead_to_a_native_run(clean_environment: CleanEnvironment, tmp_path: Path) -> None:
    clean_environment.install(*PLATFORM)
    commands = documented_commands()
    assert len(commands) <= COMMANDS_FROM_NOTHING_TO_A_NATIVE_RUN
    directory = tmp_path
    printed = []
    for command in commands:
        match command:
            case ["$EDITOR", path]:
                capability = directory / path
                capability.write_text(capability.read_text().replace("Shortens a text", "Abridges a text"))
            case ["pip", "install", "-e", "."]:
                clean_environment.install(f"--editable={directory}")
            case ["runtara", *arguments, "&&", "cd", project]:
                printed.append(succeed(clean_environment, *arguments, at=directory))
                directory = directory / project
            case ["runtara", *arguments]:
                printed.append(succeed(clean_environment, *arguments, at=directory))
            case other:
                pytest.fail(f"what is {shlex.join(other)}?")
    made, checked, ran, ran_natively = printed
    assert "pip install -e ." in made
    assert re.fullmatch(r"weather: (\d+) of \1 checks passed\n", checked)
    assert json.loads(ran) == json.loads(ran_natively) == OUTPUT
    assert "--native" in commands[-1]
    assert "Abridges a text" in succeed(clean_environment, "agents", "show", "weather", at=directory)
    clean_environment.install("pytest")
    passes_its_own_tests(clean_environment, directory)


def succeed(environment: CleanEnvironment, *arguments: str, at: Path) -> str:
    done = environment.run("runtara", *arguments, at=at, seconds=300, **native_library())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
