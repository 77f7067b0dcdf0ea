"""What a compiled program loads before its first step."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys

from runtara_sdk import workflow

_PROGRAM = """
import sys
from runtara_sdk.workflow.program import prepare
assert "pydantic" not in sys.modules
prepare()
from pydantic import BaseModel
class Order(BaseModel):
    id: int
assert Order.model_validate({"id": "1"}).id == 1
print(*sys.modules)
"""


def loaded(**variables: str) -> set[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_models_are_built_without_reading_what_is_installed() -> None:
    assert not {"importlib.metadata", "email"} & loaded()


def test_plugins_of_pydantic_can_be_left_on() -> None:
    assert "importlib.metadata" in loaded(PYDANTIC_DISABLE_PLUGINS="one,other")


def test_a_program_without_agents_loads_no_models() -> None:
    code = (
        "import sys, runtara_sdk.workflow.program, runtara_sdk.instance, runtara_sdk.core_backend; print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert not {"pydantic", "httpx", "click", "cryptography", "importlib.metadata"} & set(shown.split())


def test_a_program_loads_the_step_types_that_it_names() -> None:
    code = "import sys; from runtara_sdk.workflow import FinishStep, Run, Workflow; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    steps = {name.rpartition(".")[2] for name in shown.split() if name.startswith("runtara_sdk.workflow.steps.")}
    assert steps == {"base", "finish"}


def test_no_name_for_generated_code_is_that_of_a_module() -> None:
    # A module of that name, once imported, would hide what the name stands for.
    assert not set(workflow.__all__) & {module.name for module in pkgutil.iter_modules(workflow.__path__)}
    assert set(workflow.__all__) <= set(dir(workflow))
    for name in workflow.__all__:
        assert getattr(workflow, name).__name__
