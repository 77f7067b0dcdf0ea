"""The short cut for unchanged scenario files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runtara_compiler.service import Compiler
from runtara_compiler.unchanged import RememberedCompilation, UnchangedScenarios
from runtara_sdk.errors import InvalidInputError

SCENARIO = {"name": "Done", "steps": {"end": {"stepType": "Finish"}}, "entryPoint": "end"}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "done.json"
    path.write_text(json.dumps(SCENARIO))
    return path


async def compile_again(path: Path, data_dir: Path, *, tenant_id: str = "acme"):
    said: list[str] = []
    compiled = await Compiler().compile_file(
        path, tenant_id=tenant_id, target="python", data_dir=data_dir, progress=said.append
    )
    return compiled, "validating" not in said


async def test_the_second_compilation_takes_the_short_cut(scenario, tmp_path) -> None:
    first, short_cut = await compile_again(scenario, tmp_path / "data")
    assert not short_cut
    second, short_cut = await compile_again(scenario, tmp_path / "data")
    assert short_cut
    assert second.from_cache
    assert (second.artifact_path, second.artifact_sha256) == (first.artifact_path, first.artifact_sha256)


async def test_whatever_decides_the_result_leads_to_a_compilation(scenario, tmp_path, monkeypatch) -> None:
    data_dir = tmp_path / "data"
    await compile_again(scenario, data_dir)
    assert not (await compile_again(scenario, data_dir, tenant_id="other"))[1]
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "http")
    assert not (await compile_again(scenario, data_dir))[1], "another set of plugins"
    monkeypatch.delenv("RUNTARA_DISABLE_PLUGINS")
    assert (await compile_again(scenario, data_dir))[1]
    scenario.write_text(json.dumps({**SCENARIO, "name": "Done now"}))
    assert not (await compile_again(scenario, data_dir))[1], "another document"


async def test_a_lost_or_cut_artifact_is_built_again(scenario, tmp_path) -> None:
    data_dir = tmp_path / "data"
    first, _ = await compile_again(scenario, data_dir)
    first.artifact_path.chmod(0o755)
    first.artifact_path.write_bytes(b"")
    again, short_cut = await compile_again(scenario, data_dir)
    assert not short_cut
    assert again.artifact_path.stat().st_size == first.artifact_bytes


async def test_a_lost_module_is_written_again(scenario, tmp_path) -> None:
    data_dir = tmp_path / "data"
    first, _ = await compile_again(scenario, data_dir)
    source = first.artifact_path.with_name("workflow.py")
    source.unlink()
    _, short_cut = await compile_again(scenario, data_dir)
    assert not short_cut


async def test_a_broken_record_and_a_directory_that_cannot_be_written_only_cost_time(scenario, tmp_path) -> None:
    data_dir = tmp_path / "data"
    await compile_again(scenario, data_dir)
    for record in (data_dir / "cache" / "unchanged").iterdir():
        record.write_text("not JSON")
    assert not (await compile_again(scenario, data_dir))[1]
    known = UnchangedScenarios(Path("/proc/nowhere"))
    compiled, _ = await compile_again(scenario, data_dir)
    artifact = compiled.artifact_path
    known.remember("key", RememberedCompilation(artifact, artifact, compiled.artifact_sha256, 1, {}))
    assert known.find("key") is None


async def test_errors_are_never_remembered(scenario, tmp_path) -> None:
    scenario.write_text("{")
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="line 1"):
            await compile_again(scenario, tmp_path / "data")


def test_the_short_cut_loads_no_compiler() -> None:
    code = (
        "import sys, runtara_compiler.service; "
        "print([name for name in ('pydantic', 'jinja2', 'runtara_compiler.compilation') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
