"""Reading XML: `from-xml`."""

from __future__ import annotations

from typing import Any

from runtara_sdk.agents import CapabilityContext, Example, capability

from runtara_agents_csv_xml.xml_format.documents import READ_ERRORS, DocumentInput, document
from runtara_agents_csv_xml.xml_format.values import OPTION_ERROR, ValueOptions, Values

ORDER = '<o id="5"><l>1</l><l>2</l><n/></o>'


class FromXmlInput(DocumentInput, ValueOptions):
    """A document, and how it is read."""


@capability(
    id="from-xml",
    aliases=("parse",),
    display_name="Parse XML",
    description="Reads an XML document into nested objects.",
    known_errors=(*READ_ERRORS, OPTION_ERROR),
    examples=[
        Example(inputs={"text": ORDER}, output={"o": {"@attributes": {"id": "5"}, "l": ["1", "2"], "n": {}}}),
        Example(
            inputs={"text": "<o><l>1</l></o>", "force_array": ["l"], "infer_types": True}, output={"o": {"l": [1]}}
        ),
    ],
)
def from_xml(inputs: FromXmlInput, context: CapabilityContext) -> dict[str, Any]:
    """The document as an object with one key, the name of its root."""
    root = document(inputs, context)
    values = Values(inputs)
    return {values.name(str(root.tag)): values.value(root)}
