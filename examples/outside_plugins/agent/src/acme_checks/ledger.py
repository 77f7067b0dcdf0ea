"""The capability `note`, which changes something outside of the workflow."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

UNUSABLE_LEDGER = "CHECKS_UNUSABLE_LEDGER"


class NoteInput(BaseModel):
    """The ledger and the text."""

    ledger: str = Field(description="The absolute path of a file.", examples=["/var/lib/acme/ledger.txt"])
    text: str = Field(description="The line to add.", examples=["A-1001 accepted"])


class NoteOutput(BaseModel):
    """The text that was noted."""

    noted: str = Field(description="The line, as it stands in the ledger.")


@capability(
    id="note",
    display_name="Note",
    description="Adds a line to a ledger, a file that is shared with other programs of the host.",
    side_effects=True,
    known_errors=[KnownError.permanent(UNUSABLE_LEDGER, "The ledger is no file that can be written.")],
    examples=[
        Example(
            inputs={"ledger": "/var/lib/acme/ledger.txt", "text": "A-1001 accepted"},
            output={"noted": "A-1001 accepted"},
            needs="a directory /var/lib/acme that can be written",
        )
    ],
)
def note(inputs: NoteInput) -> NoteOutput:
    """Append the line with one write, so that lines of two programs do not mix."""
    line = " ".join(inputs.text.split())
    if not inputs.ledger.startswith("/"):
        raise AgentError.permanent(UNUSABLE_LEDGER, "the path of the ledger must be absolute")
    try:
        with Path(inputs.ledger).open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise AgentError.permanent(UNUSABLE_LEDGER, f"the ledger cannot be written: {error}") from None
    return NoteOutput(noted=line)
