"""Split: the array, and how its elements are done. The step itself holds a graph: see `language.graph`."""

from __future__ import annotations

from pydantic import Field

from runtara_compiler.language.base import Count, LanguageModel, Milliseconds
from runtara_compiler.language.mapping import InputMapping, MappingValue
from runtara_compiler.language.steps.base import DEFAULT_RETRY_DELAY_MS


class SplitConfig(LanguageModel):
    """The array and how its elements are done.

    Attributes:
        value: the array.
        parallelism: elements at a time; 0 and 1 are one after the other.
        sequential: one after the other, whatever `parallelism` says.
        dont_stop_on_failed: do the elements after a failed one, too, and list the failures.
        variables: further variables of the body.
        max_retries: further attempts of the whole step.
        retry_delay_ms: wait before the second attempt; it doubles with each further one.
        timeout_ms: bound of the whole step.
        allow_null: null counts as an empty array.
        convert_single_value: anything else that is no array counts as an array of one.
        batch_size: elements that one run of the body gets as an array; 0 gives it one element as such.
    """

    value: MappingValue
    parallelism: Count = 0
    sequential: bool = False
    dont_stop_on_failed: bool = False
    variables: InputMapping = Field(default_factory=dict)
    max_retries: Count = 0
    retry_delay_ms: Milliseconds = Field(DEFAULT_RETRY_DELAY_MS, alias="retryDelay")
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    allow_null: bool = False
    convert_single_value: bool = False
    batch_size: Count = 0

    @property
    def is_parallel(self) -> bool:
        """Whether elements are done side by side."""
        return self.parallelism > 1 and not self.sequential
