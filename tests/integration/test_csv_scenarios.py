"""Scenarios of the README of the CSV agent, as processes of a daemon: large files by references and by chunks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "packages" / "runtara-agents-csv-xml" / "README.md"
ORDERS = [{"sku": f"A{number}", "qty": number, "note": "x"} for number in range(8, 15)]
SCENARIOS = [
    json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
]


def with_file(scenario: dict[str, Any]) -> dict[str, Any]:
    """The scenario behind a step that makes its file."""
    seed = {
        "id": "seed",
        "stepType": "Agent",
        "agentId": "csv",
        "capabilityId": "to-csv",
        "inputMapping": {
            "value": {"valueType": "reference", "value": "data.orders"},
            "output": {"valueType": "immediate", "value": "file"},
            "path": {"valueType": "immediate", "value": "in/orders.csv"},
        },
    }
    plan = [{"fromStep": "seed", "toStep": scenario["entryPoint"]}, *scenario["executionPlan"]]
    return {**scenario, "steps": {"seed": seed, **scenario["steps"]}, "executionPlan": plan, "entryPoint": "seed"}


def written_by(scenario: dict[str, Any], directory: Path) -> tuple[Any, bytes]:
    """The output of a run, and the file that it has left in its workspace."""
    (directory / "scenario.json").write_text(json.dumps(with_file(scenario)))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("RUNTARA_", "DATA_DIR"))}
    command = [
        *(str(Path(sys.executable).parent / "runtara"), "run", "scenario.json"),
        *("--input", json.dumps({"orders": ORDERS}), "--data-dir", "state"),
    ]
    done = subprocess.run(
        command, cwd=directory, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    [written] = directory.glob("state/**/out/orders.csv")
    return json.loads(done.stdout), written.read_bytes()


@pytest.mark.parametrize(
    ("scenario", "output", "content"),
    [
        (SCENARIOS[0], {"rows": 4}, b"sku,qty\nA11,11\nA12,12\nA13,13\nA14,14\n"),
        (
            SCENARIOS[1],
            {"chunks": 4, "size": 53},
            b"qty,sku\n8,A8\n9,A9\n10,A10\n11,A11\n12,A12\n13,A13\n14,A14\n",
        ),
    ],
    ids=["references", "chunks"],
)
def test_scenarios_of_the_readme(scenario: dict[str, Any], output: Any, content: bytes, tmp_path: Path) -> None:
    assert written_by(scenario, tmp_path) == (output, content)
