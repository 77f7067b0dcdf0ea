"""The capability `shorten`, called as a step calls it."""

import asyncio
from typing import Any

import pytest
from runtara_sdk.agents import AgentError

from {{ cookiecutter.__module }} import {{ cookiecutter.name }}_agent
from {{ cookiecutter.__module }}.shortening import NO_WORDS


def shorten(**inputs: Any) -> Any:
    return asyncio.run({{ cookiecutter.name }}_agent.invoke("shorten", inputs))


@pytest.mark.parametrize(
    ("text", "max_length", "expected"),
    [
        ("short", 10, "short"),
        ("exactly so", 10, "exactly so"),
        ("one two three", 10, "one two..."),
        ("unbreakable", 8, "unbre..."),
    ],
)
def test_a_text_is_cut_between_words(text: str, max_length: int, expected: str) -> None:
    result = shorten(text=text, max_length=max_length)
    assert result == {"text": expected, "shortened": expected != text}
    assert len(result["text"]) <= max_length


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(AgentError) as refused:
        shorten(text="  ")
    assert refused.value.code == NO_WORDS
    assert not refused.value.retryable
