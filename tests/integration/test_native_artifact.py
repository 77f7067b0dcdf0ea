"""Native artifacts on the real base runtime: built once a session, or once for all with RUNTARA_TEST_NATIVE_CACHE."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runtara_compiler import CompilationInput, CompilationResult, compile_scenario
from runtara_sdk import RuntaraSdk
from runtara_sdk.artifact import NativeLayout, inspect_artifact, unpack_native_artifact

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 2400
START_SECONDS = 60

pytestmark = [pytest.mark.native, pytest.mark.timeout(BUILD_SECONDS)]

SCENARIO: dict[str, Any] = {
    "name": "Greeting",
    "entryPoint": "map",
    "steps": {
        "map": {
            "id": "map",
            "stepType": "Agent",
            "agentId": "transform",
            "capabilityId": "map-fields",
            "inputMapping": {
                "source_data": {"valueType": "reference", "value": "data"},
                "mappings": {"valueType": "immediate", "value": {"name": "greeted"}},
            },
        },
        "finish": {
            "id": "finish",
            "stepType": "Finish",
            "inputMapping": {"result": {"valueType": "reference", "value": "steps.map.outputs"}},
        },
    },
    "executionPlan": [{"fromStep": "map", "toStep": "finish"}],
}


@pytest.fixture(scope="session")
def native_library() -> Path:
    """The library of base runtimes, kept between local runs."""
    given = os.environ.get("RUNTARA_TEST_NATIVE_CACHE")
    return Path(given) if given else REPOSITORY / ".data" / "test-native"


async def compile_native(library: Path, data_dir: Path) -> CompilationResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTARA_NATIVE_LIBRARY_DIR", str(library))
        return await compile_scenario(
            CompilationInput(
                tenant_id="acme",
                scenario_id="greeting",
                version=1,
                execution_graph=SCENARIO,
                target="native",
                data_dir=data_dir,
            ),
            progress=print,
        )


@pytest.fixture(scope="session")
def artifact(native_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario as a native artifact."""
    data_dir = tmp_path_factory.mktemp("compiled")
    return asyncio.run(compile_native(native_library, data_dir)).binary_path


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the artifact is unpacked, by itself and by the reader alike."""
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="session")
def layout(artifact: Path, layers: Path) -> NativeLayout:
    """The artifact unpacked."""
    return unpack_native_artifact(artifact, layers)


def start(command: list[str | Path], **variables: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", **{name: str(value) for name, value in variables.items()}}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=START_SECONDS, check=False)


def test_artifact_describes_itself(artifact: Path) -> None:
    info = inspect_artifact(artifact)
    assert info.kind == "native"
    assert info.manifest is not None
    assert info.manifest["native"]["base"].startswith("sha256:")
    assert info.size < 40_000_000


def test_artifact_answers_by_itself(artifact: Path, layers: Path) -> None:
    answer = start([artifact, "--version"], RUNTARA_NATIVE_CACHE_DIR=layers)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("Greeting (greeting version 1")
    bill = json.loads(start([artifact, "--sbom"], RUNTARA_NATIVE_CACHE_DIR=layers).stdout)
    assert {"CPython", "httpx", "runtara-agents-transform", "runtara-sdk"} < {
        part["name"] for part in bill["components"]
    }
    unknown = start([artifact, "--unknown"], RUNTARA_NATIVE_CACHE_DIR=layers)
    assert unknown.returncode == 2


async def test_artifact_runs_on_a_database_file(artifact: Path, layers: Path, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'run.db'}"
    variables = {
        "RUNTARA_NATIVE_CACHE_DIR": layers,
        "RUNTARA_INSTANCE_ID": "one",
        "RUNTARA_TENANT_ID": "acme",
        "RUNTARA_SERVER_ADDR": database,
        "INPUT_JSON": '{"data": {"name": "Ada"}}',
    }
    answer = await asyncio.to_thread(start, [artifact], **variables)
    assert answer.returncode == 0, answer.stderr
    sdk = RuntaraSdk.embedded(database, "one", "acme")
    await sdk.connect()
    try:
        status = await sdk.get_status()
    finally:
        await sdk.close()
    assert status.status == "completed"
    assert status.output is not None
    assert b"Ada" in status.output


async def test_two_builds_give_the_same_bytes(artifact: Path, native_library: Path, tmp_path: Path) -> None:
    again = await compile_native(native_library, tmp_path)
    assert not again.from_cache
    assert hashlib.sha256(artifact.read_bytes()).hexdigest() == again.binary_checksum


async def test_the_second_compilation_comes_from_the_cache(native_library: Path, tmp_path: Path) -> None:
    await compile_native(native_library, tmp_path)
    assert (await compile_native(native_library, tmp_path)).from_cache


def test_base_holds_what_is_easily_lost(layout: NativeLayout) -> None:
    modules = ("_json", "_bisect", "sqlite3", "zoneinfo", "httpx", "runtara_agents_http", "runtara_agents_transform")
    answer = start([layout.command[0], "--check", *modules])
    assert (answer.returncode, answer.stderr) == (0, "")
    assert start([layout.command[0], "--check", "click"]).returncode == 1


def test_base_carries_every_shared_library_it_loads(layout: NativeLayout) -> None:
    base = layout.base_directory
    system = base / "system"
    loader = next(system.rglob("ld-linux*"))
    directories = ":".join(sorted({str(path.parent) for path in system.rglob("*.so*")}))
    for program in (base / "runtara-base", *base.rglob("*.so")):
        if program.is_relative_to(system):
            continue
        # The copied loader lists what it would load; started by it, the base could not find its own directory.
        answer = start([loader, "--library-path", directories, "--list", program])
        assert (answer.returncode, answer.stderr) == (0, ""), program
        outside = [line for line in answer.stdout.splitlines() if "=> /" in line and str(base) not in line]
        assert not outside, program


def test_base_says_what_it_cannot_start(layout: NativeLayout, tmp_path: Path) -> None:
    answer = start([layout.command[0], tmp_path])
    assert answer.returncode == 126
    assert "holds no workflow" in answer.stderr
    assert "Traceback" not in answer.stderr
