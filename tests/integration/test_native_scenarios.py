"""A spread of the corpus as native code: the compiled modules, under the same cases as their sources."""

from __future__ import annotations

import asyncio
import importlib.machinery
import importlib.util
import itertools
import os
import tarfile
from pathlib import Path

import pytest
from runtara_compiler.compilation import generate_source
from runtara_compiler.native.library import NativeLibrary
from runtara_compiler.native.module import WorkflowModule, build_workflow_layer
from runtara_compiler.native.toolchain import Toolchain, prepare_toolchain
from runtara_compiler.trials.running import run_cases
from runtara_sdk.workflow import Workflow

from tests.conformance.scenario_corpus import CorpusScenario, corpus

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.native, pytest.mark.timeout(1200)]

SPREAD = {
    topic: max(scenarios, key=lambda item: len(item.cases))
    for topic, scenarios in (
        (topic, list(found)) for topic, found in itertools.groupby(corpus(), key=lambda item: item.topic)
    )
}
"""Of each topic the scenario with the most cases."""


async def compile_one(library: NativeLibrary, toolchain: Toolchain, item: CorpusScenario, directory: Path) -> Workflow:
    name = f"native_{item.topic}"
    directory.mkdir()
    module = WorkflowModule(name, generate_source(item.compilation), {})
    layer = await build_workflow_layer(library, toolchain, module, directory)
    with tarfile.open(layer.path) as archive:
        archive.extractall(directory / "layer", filter="data")
    (extension,) = (directory / "layer").glob("*.so")
    loader = importlib.machinery.ExtensionFileLoader(name, str(extension))
    specification = importlib.util.spec_from_file_location(name, extension, loader=loader)
    assert specification is not None
    compiled = importlib.util.module_from_spec(specification)
    loader.exec_module(compiled)
    workflow: Workflow = compiled.workflow
    return workflow


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workflow]:
    """The workflows, compiled side by side as far as there are processors."""
    given = os.environ.get("RUNTARA_TEST_NATIVE_CACHE")
    library = NativeLibrary(Path(given) if given else REPOSITORY / ".data" / "test-native")
    directory = tmp_path_factory.mktemp("native-scenarios")

    async def compile_all() -> dict[str, Workflow]:
        toolchain = await prepare_toolchain(library)
        room = asyncio.Semaphore(os.cpu_count() or 1)

        async def compile_in_turn(topic: str) -> Workflow:
            async with room:
                return await compile_one(library, toolchain, SPREAD[topic], directory / topic)

        return dict(zip(SPREAD, await asyncio.gather(*map(compile_in_turn, SPREAD)), strict=True))

    return asyncio.run(compile_all())


@pytest.mark.parametrize("topic", SPREAD)
def test_native_code_does_what_its_source_does(topic: str, compiled: dict[str, Workflow]) -> None:
    graph = compiled[topic].graph
    assert "compiled_function" in type(graph).__name__, "this is no native code"
    results = asyncio.run(run_cases(compiled[topic], SPREAD[topic].cases))
    assert [(result.name, result.differences) for result in results if not result.holds] == []
