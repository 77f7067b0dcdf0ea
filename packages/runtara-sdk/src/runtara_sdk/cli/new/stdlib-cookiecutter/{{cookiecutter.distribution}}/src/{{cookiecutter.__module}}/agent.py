"""The agent `{{ cookiecutter.name }}`, which the product brings along."""

from __future__ import annotations

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, Example, capability


class ReferenceInput(BaseModel):
    """The number of something that the product keeps."""

    number: int = Field(description="The number.", ge=0, le=999_999, examples=[42])


class ReferenceOutput(BaseModel):
    """The number as people read it."""

    reference: str = Field(description="The prefix of the product, and six digits.")


@capability(
    id="reference",
    display_name="Reference",
    description="Writes a number as the product shows it to people.",
    effect="pure",
    examples=[Example(inputs={"number": 42}, output={"reference": "{{ cookiecutter.__prefix }}-000042"})],
)
def reference(inputs: ReferenceInput) -> ReferenceOutput:
    """Fill the number up with zeros."""
    return ReferenceOutput(reference=f"{{ cookiecutter.__prefix }}-{inputs.number:06d}")


{{ cookiecutter.name }}_agent = AgentDefinition(
    id="{{ cookiecutter.name }}",
    name="{{ cookiecutter.__title }}",
    description="What the product itself does for its workflows.",
    capabilities=[reference],
)
