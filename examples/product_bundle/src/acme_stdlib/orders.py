"""The agent `orders`."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, Example, capability


class Line(BaseModel):
    """A line of an order."""

    price: Decimal = Field(description="Of one piece.")
    count: int = Field(description="How many pieces.")


class TotalInput(BaseModel):
    """What is added up."""

    lines: list[Line] = Field(description="The lines of the order.", examples=[[{"price": 19.90, "count": 2}]])


@capability(
    id="total",
    display_name="Total",
    description="Adds up the lines of an order, to the cent.",
    examples=[Example({"lines": [{"price": 19.90, "count": 2}]}, output="39.80")],
)
def total(inputs: TotalInput) -> str:
    """The sum as a text with two decimals."""
    return str(sum((line.price * line.count for line in inputs.lines), Decimal(0)).quantize(Decimal("0.01")))


orders_agent = AgentDefinition(id="orders", capabilities=[total])
