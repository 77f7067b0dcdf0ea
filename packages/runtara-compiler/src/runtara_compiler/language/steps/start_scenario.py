"""StartScenario: a child scenario."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import Count, Milliseconds
from runtara_compiler.language.mapping import InputMapping
from runtara_compiler.language.steps.base import DEFAULT_MAX_RETRIES, DEFAULT_RETRY_DELAY_MS, BaseStep


class StartScenarioStep(BaseStep):
    """Runs another scenario, embedded when this one is compiled; its result is the output.

    Attributes:
        child_scenario_id: id of the child.
        child_version: `latest`, `current` or a number from 1 on, as number or text.
        input_mapping: the data of the child.
        max_retries: further attempts after the first.
        retry_delay_ms: wait before the second attempt; it doubles with each further one.
        timeout_ms: bound of the whole step.
    """

    synonyms: ClassVar[dict[str, str]] = {"childWorkflowId": "childScenarioId"}
    record_extras: ClassVar[frozenset[str]] = frozenset({"childScenarioId"})

    step_type: Literal["StartScenario"] = "StartScenario"
    child_scenario_id: str
    child_version: str | int
    input_mapping: InputMapping = Field(default_factory=dict)
    max_retries: Count = DEFAULT_MAX_RETRIES
    retry_delay_ms: Milliseconds = Field(DEFAULT_RETRY_DELAY_MS, alias="retryDelay")
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
