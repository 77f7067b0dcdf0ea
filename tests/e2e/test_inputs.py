"""Inputs of starts: refused before anything exists when they do not fit the scenario."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import InputRefusedError, InstanceNotFoundError, InvalidInputError
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import ENVIRONMENT_SOCKET, socket_path

TENANT = "demo"
GREETING: dict[str, Any] = {
    "name": "Greeting",
    "inputSchema": {
        "who": {"type": "string", "required": True, "pattern": "^[A-Z]"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "entryPoint": "done",
    "steps": {
        "done": {
            "id": "done",
            "stepType": "Finish",
            "inputMapping": {"hello": {"valueType": "reference", "value": "data.who"}},
        }
    },
    "executionPlan": [],
}
MISFIT = {"data": {"who": "ada", "tags": ["a", *range(12)]}}
SENTENCE = "the input does not fit its schema: data.who must match the pattern '^[A-Z]', found \"ada\"; data.tags[1] "


@pytest.mark.parametrize("daemons", ["sqlite"], indirect=True)
async def test_an_input_that_does_not_fit_starts_nothing(daemons) -> None:
    product = daemons.product
    scenario = product.write("greeting.json", GREETING)
    artifact = product.directory / "greeting.bin"
    compiled = product.run(
        "runtara-compile", "--workflow", scenario, "--tenant", TENANT, "--scenario", "greeting", "--output", artifact
    )
    assert compiled.exit_code == 0, compiled
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, "greeting", artifact)
        with pytest.raises(InputRefusedError) as caught:
            await sdk.start_instance(image.image_id, TENANT, instance_id="misfit", input_envelope=MISFIT)
        assert [each["path"] for each in caught.value.violations][:3] == ["data.who", "data.tags[1]", "data.tags[2]"]
        assert caught.value.violation_count == 13
        with pytest.raises(InstanceNotFoundError):
            await sdk.get_instance_status("misfit")

        told = product.run(
            "runtara-ctl", "start", "--image", image.image_id, "--tenant", TENANT,
            "--input", f"@{product.write('misfit.json', MISFIT)}",
        )  # fmt: skip
        assert told.exit_code == 2, told
        assert told.errors[0].startswith(f"error: {SENTENCE}"), told
        assert told.errors[0].endswith("; and 3 more")
        assert told.stderr.splitlines()[-1] == "  data.tags[12] must be a string, found 11"

        started = await sdk.start_instance(image.image_id, TENANT, input_envelope={"data": {"who": "Ada"}})
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=60)
        assert ended.output == {"hello": "Ada"}


def test_a_run_says_the_same(product) -> None:
    scenario = product.write("greeting.json", GREETING)
    finished = product.run("runtara", "run", scenario, "--input", f"@{product.write('misfit.json', MISFIT)}")
    assert finished.exit_code == 2, finished
    assert finished.errors[0].startswith(f"error: {SENTENCE}"), finished


ECHO = """#!/usr/bin/env python3
import asyncio, hashlib, os
from pathlib import Path
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        content = Path(os.environ["RUNTARA_INPUT_PATH"]).read_bytes()
        assert not any(len(value) > 100_000 for value in os.environ.values())
        await sdk.completed({"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})

asyncio.run(main())
"""
LARGEST = 64 * 1024 * 1024


def peak_bytes(process: Any) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


async def test_an_input_of_64_mib_reaches_its_program(daemons) -> None:
    product = daemons.product
    content = b'{"data": "' + b"x" * (LARGEST - 12) + b'"}'
    assert len(content) == LARGEST
    file = product.directory / "largest.json"
    file.write_bytes(content)
    async with daemons.sdk() as sdk:
        image = await sdk.register_image(TENANT, "echo", ECHO.encode())
        socket = format_local_address(socket_path(product.data_dir, ENVIRONMENT_SOCKET))
        words = ("start", "--image", image.image_id, "--tenant", TENANT, "--input-file", file, "--address", socket)
        started = await asyncio.to_thread(product.ctl, *words)
        ended = await sdk.wait_for_completion(started, poll_interval=0.05, timeout=60)
        assert ended.output == {"bytes": LARGEST, "sha256": hashlib.sha256(content).hexdigest()}
        assert (ended.input, ended.input_bytes) == (None, LARGEST)
        with pytest.raises(InvalidInputError, match="more than the 67108864 of RUNTARA_MAX_INPUT_BYTES"):
            await sdk.start_instance(image.image_id, TENANT, input_envelope=content + b" ")
    assert peak_bytes(daemons.environment) < 512 * 2**20
    assert peak_bytes(daemons.core) < 512 * 2**20


@pytest.mark.parametrize("daemons", ["sqlite"], indirect=True)
async def test_an_input_that_no_answer_holds_is_read_in_parts(daemons) -> None:
    content = b'{"data": "' + b"0123456789" * 1_300_000 + b'"}'
    async with daemons.sdk() as sdk:
        image = await sdk.register_image(TENANT, "echo", ECHO.encode())
        start = {"instance_id": f"long-{uuid.uuid4().hex[:8]}", "input_envelope": content}
        started = await sdk.start_instance(image.image_id, TENANT, **start)
        parts = [part async for part in sdk.read_input(started.instance_id)]
        assert b"".join(parts) == content
        assert len(parts) > 1
        again = await sdk.start_instance(image.image_id, TENANT, **start)
        assert again.earlier is not None
        assert not again.earlier.other_input
        other = await sdk.start_instance(image.image_id, TENANT, **{**start, "input_envelope": content + b" "})
        assert other.earlier.other_input
        await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=60)
    told = daemons.product.run("runtara-ctl", "status", started.instance_id, "--table")
    assert f"12.4 MiB, shown by `runtara-ctl input {started.instance_id}`" in told.stdout, told
    shown = daemons.product.run("runtara-ctl", "input", started.instance_id)
    assert shown.stdout.encode() == content
