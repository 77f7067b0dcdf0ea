"""The capability `shorten`, which only calculates: it is pure, so that a step may repeat it freely."""

from __future__ import annotations

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

NO_WORDS = "{{ cookiecutter.__prefix }}_NO_WORDS"

_MARK = "..."


class ShortenInput(BaseModel):
    """The text, and how long it may be."""

    text: str = Field(description="The text to shorten.", examples=["Durable execution for products"])
    max_length: int = Field(default=80, ge=4, le=10_000, description="The largest number of characters of the result.")


class ShortenOutput(BaseModel):
    """The text as it is now."""

    text: str = Field(description="The text, which ends with three dots where something was left out.")
    shortened: bool = Field(description="Whether something was left out.")


@capability(
    id="shorten",
    display_name="Shorten",
    description="Shortens a text to a number of characters, between two words where that is possible.",
    effect="pure",
    known_errors=[KnownError.permanent(NO_WORDS, "The text is empty or blank.")],
    examples=[
        Example(
            inputs={"text": "Durable execution for products", "max_length": 20},
            output={"text": "Durable execution...", "shortened": True},
        ),
    ],
)
{{ cookiecutter.__def }} shorten(inputs: ShortenInput) -> ShortenOutput:
    """Cut the text at the last blank that leaves room for the mark."""
    text = " ".join(inputs.text.split())
    if not text:
        raise AgentError.permanent(NO_WORDS, "the text has no words; give one that is not blank")
    if len(text) <= inputs.max_length:
        return ShortenOutput(text=text, shortened=False)
    room = inputs.max_length - len(_MARK)
    end = text.rfind(" ", 0, room + 1)
    return ShortenOutput(text=text[: end if end > 0 else room] + _MARK, shortened=True)
