"""Checking XML by a schema: `xml-validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, KnownError, capability
from runtara_sdk.agents.files import FileInput

from runtara_agents_csv_xml.xml_format.documents import READ_ERRORS, DocumentInput, document
from runtara_agents_csv_xml.xml_format.encodings import refuse_document_type

if TYPE_CHECKING:
    from lxml import etree

SCHEMA_INVALID = "XML_SCHEMA_INVALID"

_LARGEST_SCHEMA = 10 * 1024 * 1024
_LONGEST_MESSAGE = 1000
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


class ValidateInput(DocumentInput):
    """A document, and its schema."""

    schema_text: str | None = Field(default=None, title="Schema", description="XML Schema (XSD) as text.")
    schema_file: FileInput = Field(default=None, description="The same as a file.")
    schemas: dict[str, str] = Field(
        default_factory=dict,
        description="Further schemas, by the location under which they are included or imported. Nothing else is read.",
    )
    max_errors: int = Field(default=100, ge=1, le=10_000, description="So many are told.")


class XmlViolation(BaseModel):
    """One thing that is wrong."""

    line: int = Field(description="Of the document, from 1.")
    path: str | None = Field(description="XPath of the element; null where it is not known.")
    message: str


class ValidateOutput(BaseModel):
    """What was found."""

    valid: bool
    error_count: int
    errors: list[XmlViolation] = Field(description="The first `max_errors`, in the order of the document.")


_SCHEMA = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="n" type="xs:integer"/></xs:schema>'


@capability(
    id="xml-validate",
    aliases=("validate",),
    display_name="Validate XML",
    description="Tells what of a document does not fit an XML Schema.",
    known_errors=(
        *READ_ERRORS,
        KnownError.permanent(SCHEMA_INVALID, "The schema is malformed, or includes one that is not given."),
    ),
    examples=[
        Example(
            inputs={"text": "<n>7</n>", "schema_text": _SCHEMA}, output={"valid": True, "error_count": 0, "errors": []}
        )
    ],
)
def xml_validate(inputs: ValidateInput, context: CapabilityContext) -> ValidateOutput:
    """Look at all of it."""
    from lxml import etree

    schema = _schema(inputs, context)
    root = document(inputs, context)
    _forget_locations(root)
    try:
        is_valid = schema.validate(root.getroottree())
    except etree.LxmlError as error:
        raise _invalid(f"it cannot be used: {str(error)[:200]}") from None
    entries: list[Any] = [*iter(schema.error_log)]  # type: ignore[call-overload]  # it is a sequence
    entries.sort(key=lambda entry: entry.line)
    errors = [
        XmlViolation(line=entry.line, path=entry.path, message=entry.message[:_LONGEST_MESSAGE])
        for entry in entries[: inputs.max_errors]
    ]
    return ValidateOutput(valid=is_valid, error_count=len(entries), errors=errors)


def _forget_locations(root: etree._Element) -> None:
    """A document must not say which schemas are read for it."""
    for name in ("schemaLocation", "noNamespaceSchemaLocation"):
        naming: Any = root.xpath(f"//*[@i:{name}]", namespaces={"i": _INSTANCE})
        for element in naming:
            del element.attrib[f"{{{_INSTANCE}}}{name}"]


def _schema(inputs: ValidateInput, context: CapabilityContext) -> etree.XMLSchema:
    from lxml import etree

    given = inputs.schemas
    for name, content in given.items():
        try:
            refuse_document_type(content)  # libxml2 would resolve entities of what is included
        except AgentError as error:
            raise _invalid(f"{name[:200]!r} has a DOCTYPE") from error
    missing: list[str] = []

    class OnlyGiven(etree.Resolver):
        """Finds the schemas that the step gives, and none else."""

        def resolve(  # type: ignore[override]  # the stubs lack the last argument
            self, system_url: str | None, public_id: str | None, resolver: Any
        ) -> Any:
            name = system_url or ""
            text = given.get(name) or given.get(name.rpartition("/")[2])
            if text is None:
                missing.append(name)
                return self.resolve_string(b"", resolver, base_url=name)
            return self.resolve_string(text.encode("utf-8", "surrogatepass"), resolver, base_url=name)

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    parser.resolvers.add(OnlyGiven())
    source = DocumentInput(data=inputs.schema_file, text=inputs.schema_text, max_bytes=_LARGEST_SCHEMA)
    text = etree.tostring(document(source, context))
    try:
        return etree.XMLSchema(etree.fromstring(text, parser))
    except etree.LxmlError as error:
        if missing:
            raise _invalid(f"it includes {missing[0][:200]!r}: give that in `schemas`") from None
        raise _invalid(f"it is malformed: {str(error)[:300]}") from None


def _invalid(reason: str) -> AgentError:
    return AgentError.permanent(SCHEMA_INVALID, f"the schema: {reason}")
