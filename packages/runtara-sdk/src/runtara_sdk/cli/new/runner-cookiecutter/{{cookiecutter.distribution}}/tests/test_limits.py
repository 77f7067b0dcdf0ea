"""What the runner adds: bounds for programs that have none."""

import sys
from pathlib import Path

import pytest
from runtara_environment.runner import LaunchSpec, Limits
from runtara_environment.runners.loading import load_runners

from {{ cookiecutter.__module }}.runner import (
    FILE_SIZE_BYTES,
    MEMORY_BYTES,
    OPEN_FILES,
    BoundedRunner,
)

PRINT_LIMITS = """
import resource
print(*(resource.getrlimit(each)[0] for each in (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)))
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Limits(), (MEMORY_BYTES, FILE_SIZE_BYTES, OPEN_FILES)),
        (Limits(memory_bytes=1 << 28, open_files=64), (1 << 28, FILE_SIZE_BYTES, 64)),
    ],
)
async def test_a_program_without_bounds_gets_some(
    given: Limits, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    argv = (sys.executable, "-I", "-S", "-c", PRINT_LIMITS)
    process = await BoundedRunner().launch(LaunchSpec("i-1", "t-1", 1, argv, {}, tmp_path / "run", limits=given))
    assert (await process.wait()).exit_code == 0
    assert await process.output_tail("stdout") == f"{expected[0]} {expected[1]} {expected[2]}\n"


def test_the_environment_finds_the_runner_by_its_name() -> None:
    assert isinstance(load_runners().get("{{ cookiecutter.name }}"), BoundedRunner)
