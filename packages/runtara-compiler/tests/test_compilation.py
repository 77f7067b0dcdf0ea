"""compile_scenario on the python target: results, cache, places, refusals."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from runtara_compiler import CompilationInput, CompilationResult, compile_scenario
from runtara_compiler.cache import ArtifactCache
from runtara_compiler.cli import compile_command
from runtara_compiler.language.diagnostics import ScenarioError
from runtara_compiler.service import Compiler, scenario_id_of
from runtara_compiler.targets import BuildRequest
from runtara_compiler.targets.loading import load_build_targets
from runtara_compiler.targets.python import PythonTarget
from runtara_sdk.artifact import inspect_artifact
from runtara_sdk.errors import InvalidInputError

GREET: dict[str, Any] = {
    "name": "Greet",
    "inputSchema": {"who": {"type": "string"}},
    "variables": {"greeting": {"type": "string", "value": "hello"}},
    "steps": {
        "note": {"stepType": "Log", "message": "greeting"},
        "done": {
            "stepType": "Finish",
            "inputMapping": {"hello": {"valueType": "reference", "value": "data.who"}},
        },
    },
    "entryPoint": "note",
    "executionPlan": [{"fromStep": "note", "toStep": "done"}],
}


async def compile_greet(data_dir: Path, **changes: Any) -> CompilationResult:
    fields: dict[str, Any] = {
        "tenant_id": "acme",
        "scenario_id": "greet",
        "version": 1,
        "execution_graph": GREET,
        "data_dir": data_dir,
    }
    return await compile_scenario(CompilationInput(**{**fields, **changes}))


async def test_result(tmp_path: Path) -> None:
    result = await compile_greet(tmp_path, output=tmp_path / "out" / "greet")
    content = result.binary_path.read_bytes()
    assert result.binary_path == tmp_path / "acme/scenarios/greet/python_build/version_1/scenario"
    assert result.build_dir == result.binary_path.parent
    assert result.binary_size == len(content)
    assert result.binary_checksum == hashlib.sha256(content).hexdigest()
    assert result.cached_path.read_bytes() == content == (tmp_path / "out" / "greet").read_bytes()
    assert os.access(result.binary_path, os.X_OK)
    assert os.access(tmp_path / "out" / "greet", os.X_OK)
    assert (tmp_path / "acme/scenarios").stat().st_mode & 0o077 == 0, "other users read no scenario"
    assert not result.has_side_effects
    assert result.default_variables == {"greeting": "hello"}
    assert result.child_dependencies == ()
    assert not result.from_cache
    assert "FinishStep" in (result.build_dir / "workflow.py").read_text()


async def test_archive_and_manifest(tmp_path: Path) -> None:
    result = await compile_greet(tmp_path, debug_mode=True)
    info = inspect_artifact(result.binary_path)
    assert info.kind == "python"
    manifest = info.manifest
    assert manifest is not None
    assert manifest["scenario"]["id"] == "greet"
    assert manifest["scenario"]["debug"] is True
    assert manifest["target"] == "python"
    assert manifest["agents"] == []
    assert manifest["inputSchema"] == {"who": {"type": "string"}}
    assert len(manifest["sdk"]["sha256"]) == 64
    with zipfile.ZipFile(result.binary_path) as archive:
        names = ["__main__.py", "workflow_greet.py", "runtara-manifest.json", "runtara-sbom.cdx.json"]
        assert archive.namelist() == names
        module = archive.read("workflow_greet.py")
    assert manifest["module"]["sha256"] == hashlib.sha256(module).hexdigest()


async def test_cache_by_content(tmp_path: Path) -> None:
    first = await compile_greet(tmp_path)
    again = await compile_greet(tmp_path, execution_graph=json.dumps({"executionGraph": GREET}))
    assert again.from_cache
    assert again.binary_checksum == first.binary_checksum
    for change in ({"debug_mode": True}, {"version": 2}, {"scenario_id": "other"}):
        changed = await compile_greet(tmp_path, **change)
        assert not changed.from_cache
        assert changed.cached_path != first.cached_path
    assert (await compile_greet(tmp_path, tenant_id="umbrella")).from_cache


async def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    first = await compile_greet(tmp_path / "a")
    second = await compile_greet(tmp_path / "b")
    assert not second.from_cache
    assert first.binary_checksum == second.binary_checksum


async def test_damaged_entry_is_built_again(tmp_path: Path) -> None:
    first = await compile_greet(tmp_path)
    first.cached_path.write_bytes(b"#!/bin/false\n")
    again = await compile_greet(tmp_path)
    assert not again.from_cache
    assert again.binary_checksum == first.binary_checksum
    assert again.binary_path.read_bytes() == again.cached_path.read_bytes()


async def test_one_build_for_many_at_once(tmp_path: Path) -> None:
    results = await asyncio.gather(*(compile_greet(tmp_path, tenant_id=f"t{number}") for number in range(8)))
    assert sum(not result.from_cache for result in results) == 1
    assert len({result.binary_checksum for result in results}) == 1
    assert not [path for path in (tmp_path / "cache/artifacts").iterdir() if path.name.startswith(".")]


async def test_failed_build_leaves_nothing_half_written(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path)

    async def fail(work_dir: Path) -> Path:
        (work_dir / "scenario").write_text("half")
        raise InvalidInputError("no")

    with pytest.raises(InvalidInputError):
        await cache.build("0" * 64, "source", fail)
    assert [path.name for path in (tmp_path / "cache/artifacts").iterdir()] == ["0" * 64 + ".lock"]
    assert await cache.find("0" * 64) is None


async def test_all_errors_at_once(tmp_path: Path) -> None:
    document = {
        "steps": {
            "a": {"stepType": "Agent", "agentId": "nobody", "capabilityId": "x"},
            "b": {
                "stepType": "Finish",
                "inputMapping": {"x": {"valueType": "reference", "value": "steps.aa.outputs"}},
            },
        },
        "entryPoint": "a",
        "executionPlan": [{"fromStep": "a", "toStep": "b"}],
    }
    with pytest.raises(ScenarioError) as refusal:
        await compile_greet(tmp_path, execution_graph=document)
    assert {diagnostic.code for diagnostic in refusal.value.diagnostics} >= {"E020", "E010"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": ".."},
        {"tenant_id": "a/b"},
        {"tenant_id": ""},
        {"scenario_id": "../x"},
        {"scenario_id": "a\n"},
        {"scenario_id": "x" * 200},
        {"version": -1},
        {"version": 2**32},
        {"target": "wasm"},
    ],
)
async def test_unacceptable_input_touches_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        await compile_greet(tmp_path, **change)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


async def test_interpreter_whose_path_the_kernel_cannot_read(tmp_path: Path) -> None:
    pin = {"distribution": "runtara-sdk", "version": "0.1.0"}
    scenario = {"id": "x", "version": 1, "sha256": "0" * 64}
    manifest = {"scenario": scenario, "sdk": pin, "compiler": pin, "agents": [], "requirements": [], "python": "3.11.7"}
    request = BuildRequest("workflow = None\n", "workflow_x", manifest, (), tmp_path, lambda _: None)
    path = await PythonTarget("/opt/my python/bin/python3").build(request)
    assert path.read_bytes().startswith(b'#!/bin/sh\nexec \'/opt/my python/bin/python3\' "$0" "$@"\n')
    assert zipfile.is_zipfile(path)


def test_targets_come_through_the_plugin_door() -> None:
    found = load_build_targets()
    assert "python" in found.targets
    assert not load_build_targets({"RUNTARA_DISABLE_PLUGINS": "runtara.compilers:python"}).targets.keys() & {"python"}


async def test_service_compiles_files(tmp_path: Path) -> None:
    path, said = tmp_path / "my greeting.json", []
    path.write_text(json.dumps(GREET))
    compiler = Compiler()
    compiled = await compiler.compile_file(
        path, tenant_id="acme", target="python", data_dir=tmp_path / "data", progress=said.append
    )
    assert compiled.scenario_id == "my-greeting"
    assert compiled.artifact_path.stat().st_size == compiled.artifact_bytes
    assert said
    path.write_text('{"steps": {"a": {"stepType": "Finishh"}, "b": {"stepType": "Logg"}}}')
    with pytest.raises(InvalidInputError) as refusal:
        await compiler.compile_file(
            path, tenant_id="acme", target="python", data_dir=tmp_path / "data", progress=said.append
        )
    assert len(refusal.value.message.splitlines()) == 2
    assert all(line.startswith(f"{path}: [E") for line in refusal.value.message.splitlines())


@pytest.mark.parametrize(
    ("name", "expected"), [("order.json", "order"), ("a b.c.json", "a-b.c"), ("…", "scenario"), (".json", "scenario")]
)
def test_scenario_id_of_a_file(name: str, expected: str) -> None:
    assert scenario_id_of(Path(name)) == expected


def invoke(*arguments: str, standard_input: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(compile_command, arguments, input=standard_input)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_cli_prints_the_path_alone(tmp_path: Path) -> None:
    scenario = tmp_path / "greet.json"
    scenario.write_text(json.dumps(GREET))
    place = ("--tenant", "acme", "--scenario", "greet", "--data-dir", str(tmp_path / "data"))
    code, out, err = invoke("--workflow", str(scenario), *place, "--emit-source", str(tmp_path / "greet.py"))
    assert code == 0
    assert out == str(tmp_path / "data/acme/scenarios/greet/python_build/version_1/scenario") + "\n"
    assert "validating" in err
    compile((tmp_path / "greet.py").read_text(), "greet.py", "exec")
    code, out, _ = invoke("--workflow", str(scenario), *place, "--json", "--output", str(tmp_path / "copy"))
    assert code == 0
    assert json.loads(out)["path"] == str(tmp_path / "copy")
    assert json.loads(out)["fromCache"] is True


def test_cli_validates_and_analyzes(tmp_path: Path) -> None:
    text = json.dumps(GREET)
    assert invoke("--workflow", "-", "--validate", standard_input=text)[0] == 0
    code, out, _ = invoke("--workflow", "-", "--analyze", "--json", standard_input=text)
    assert code == 0
    assert json.loads(out)["stepTypes"] == {"Finish": 1, "Log": 1}
    broken = json.dumps({**GREET, "entryPoint": "nowhere"})
    code, out, err = invoke("--workflow", "-", "--validate", standard_input=broken)
    assert (code, out) == (1, "")
    assert "[E001]" in err
    assert invoke("--workflow", "-", "--analyze", standard_input=broken)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "standard_input", "expected"),
    [
        (["--workflow", "/nowhere.json"], None, "/nowhere.json: cannot be read"),
        (["--workflow", "-"], "{", "malformed JSON"),
        (["--workflow", "-"], '{"steps": {"a": {"stepType": "Agnet"}}}', "did you mean 'Agent'"),
        (["--workflow", "-", "--child", "a=/nowhere.json"], "{}", "/nowhere.json: cannot be read"),
        (["--workflow", "-", "--target", "wasm"], json.dumps(GREET), "unknown build target 'wasm'"),
    ],
)
def test_cli_errors_take_one_line(
    tmp_path: Path, arguments: list[str], standard_input: str | None, expected: str
) -> None:
    place = ["--tenant", "acme", "--scenario", "x", "--data-dir", str(tmp_path)]
    code, out, err = invoke(*arguments, *place, standard_input=standard_input)
    assert (code, out) == (1, "")
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in err


def test_cli_usage_errors() -> None:
    assert invoke("--bogus")[0] == 2
    assert invoke()[0] == 2
    code, _, err = invoke("--workflow", "-", standard_input="{}")
    assert code == 2
    assert "--tenant" in err
    assert invoke("--help")[0] == 0
