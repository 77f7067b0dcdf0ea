"""Inputs of starts: refused before anything exists when they do not fit the scenario."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.errors import InputRefusedError, InstanceNotFoundError

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
