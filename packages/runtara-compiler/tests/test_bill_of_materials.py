"""The CycloneDX bill of materials: complete, the same each time, and read back from an artifact."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from runtara_compiler import CompilationInput, compile_scenario
from runtara_compiler.bill_of_materials import Material, bill_of_materials
from runtara_compiler.provenance import pin_requirements
from runtara_compiler.targets import AgentPin
from runtara_sdk.artifact import inspect_artifact

SCENARIO = {
    "name": "Mapped",
    "entryPoint": "map",
    "steps": {
        "map": {
            "stepType": "Agent",
            "agentId": "transform",
            "capabilityId": "map-fields",
            "inputMapping": {
                "source_data": {"valueType": "immediate", "value": {}},
                "mappings": {"valueType": "immediate", "value": {}},
            },
        },
        "end": {"stepType": "Finish"},
    },
    "executionPlan": [{"fromStep": "map", "toStep": "end"}],
}
MANIFEST: dict[str, Any] = {
    "scenario": {
        "id": "mapped",
        "version": 3,
        "sha256": "a" * 64,
        "children": [{"id": "c", "version": 1, "sha256": "b" * 64}],
    },
    "sdk": {"distribution": "runtara-sdk", "version": "0.1.0", "sha256": "c" * 64},
    "compiler": {"distribution": "runtara-compiler", "version": "0.1.0", "sha256": None},
    "agents": [{"distribution": "unknown-agent", "version": "2", "sha256": "d" * 64}, {"distribution": None}],
    "requirements": [{"distribution": "xxhash", "version": "4.1.0", "sha256": "f" * 64}],
    "python": "3.11.7",
}


def test_what_an_artifact_is_made_of() -> None:
    text = bill_of_materials(MANIFEST, [Material("httpx", "0.28.1", "e" * 64)])
    assert text == bill_of_materials(MANIFEST, [Material("httpx", "0.28.1", "e" * 64)])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert "timestamp" not in document["metadata"]
    components = {component["name"]: component for component in document["components"]}
    assert set(components) == {"CPython", "c", "httpx", "runtara-compiler", "runtara-sdk", "unknown-agent", "xxhash"}
    assert components["httpx"]["hashes"] == [{"alg": "SHA-256", "content": "e" * 64}]
    assert components["runtara-sdk"]["licenses"] == [{"license": {"id": "AGPL-3.0-or-later"}}]
    (root,) = (item for item in document["dependencies"] if item["ref"] == "scenario:mapped@3")
    assert len(root["dependsOn"]) == 7
    assert text != bill_of_materials({**MANIFEST, "python": "3.11.8"}, [Material("httpx", "0.28.1", "e" * 64)])


async def test_an_artifact_prints_its_bill(tmp_path: Path) -> None:
    compilation = CompilationInput("acme", "mapped", 1, SCENARIO, data_dir=tmp_path)
    result = await compile_scenario(compilation)
    printed = subprocess.run([result.binary_path, "--sbom"], capture_output=True, text=True, check=True).stdout
    components = {component["name"]: component for component in json.loads(printed)["components"]}
    assert {"runtara-agents-transform", "runtara-compiler", "runtara-sdk", "pydantic-core"} < components.keys()
    manifest = inspect_artifact(result.binary_path).manifest
    assert manifest is not None
    (pin,) = (pin for pin in manifest["requirements"] if pin["distribution"] == "pydantic-core")
    assert pin["version"] == metadata.version("pydantic-core")
    assert components["pydantic-core"]["hashes"] == [{"alg": "SHA-256", "content": pin["sha256"]}]


def test_what_no_installer_has_put_there_is_not_pinned() -> None:
    told: list[str] = []
    assert pin_requirements([AgentPin("x", "x", "x", distribution="not-installed")], told.append) == ()
    (line,) = told
    assert line.startswith("what the agents require is not pinned: the compiler needs the distribution not-installed")
