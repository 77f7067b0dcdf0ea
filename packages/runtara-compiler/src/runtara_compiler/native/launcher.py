"""The main program of a base runtime: starts the workflow whose directory is the first argument.

It lies in every base as `runtara_launcher`; it imports the standard library and nothing else before the workflow itself
decides what is needed. `runtara-base --check MODULE...` imports the modules and says which one fails; the builder runs
it once.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost start-up time
    from typing import Any, NoReturn

EXIT_USAGE = 2
EXIT_UNUSABLE = 126

_MANIFEST = "runtara-manifest.json"


def main() -> None:
    """Run the workflow, or check modules; does not return when all is well."""
    gc.disable()  # the program of the workflow turns it on once everything is imported
    arguments = sys.argv[1:]
    if not arguments:
        _stop(EXIT_USAGE, "usage: runtara-base WORKFLOW_DIRECTORY [ARGUMENT...]")
    if arguments[0] == "--check":
        for name in arguments[1:]:
            importlib.import_module(name)
        return
    from runtara_sdk.workflow.program import main as run_program
    from runtara_sdk.workflow.program import prepare

    prepare()
    workflow = _load_workflow(arguments[0])
    sys.argv[1:2] = []
    run_program(workflow, os.path.join(arguments[0], _MANIFEST))  # noqa: PTH118 - pathlib would cost start-up time


def _load_workflow(directory: str) -> Any:
    try:
        with open(os.path.join(directory, _MANIFEST), encoding="utf-8") as stream:  # noqa: PTH118, PTH123
            native = json.load(stream)["native"]
        name = native["module"]
        path = os.path.join(directory, native["extension"])  # noqa: PTH118 - pathlib would cost start-up time
        loader = importlib.machinery.ExtensionFileLoader(name, path)
        specification = importlib.util.spec_from_file_location(name, path, loader=loader)
        module = importlib.util.module_from_spec(specification)  # type: ignore[arg-type]  # an extension has one
        sys.modules[name] = module
        loader.exec_module(module)
        return module.workflow
    except (OSError, ImportError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        _stop(EXIT_UNUSABLE, f"{directory} holds no workflow that this base runtime can start: {reason}")


def _stop(code: int, message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
