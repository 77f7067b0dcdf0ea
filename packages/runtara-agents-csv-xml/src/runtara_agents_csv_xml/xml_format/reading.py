"""Reading XML: `from-xml`, `xml-extract`, `xml-validate`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, FileReference, KnownError, capability
from runtara_sdk.agents.conditions import ConditionInput, read_condition
from runtara_sdk.agents.files import WORKSPACE_ERRORS, FileInput

from runtara_agents_csv_xml.csv_format.json_lines import MEDIA_TYPE, write_json_lines
from runtara_agents_csv_xml.xml_format.documents import READ_ERRORS, DocumentInput, document, pull
from runtara_agents_csv_xml.xml_format.values import ValueOptions, Values

if TYPE_CHECKING:
    from lxml import etree

XPATH_INVALID = "XML_XPATH_INVALID"
SCHEMA_INVALID = "XML_SCHEMA_INVALID"
OPTION_INVALID = "XML_INVALID_OPTION"

_MOST_MATCHES = 100_000
_LARGEST_STREAM = 2**40
_ORDER = '<o id="5"><l>1</l><l>2</l><n/></o>'


class FromXmlInput(DocumentInput, ValueOptions):
    """A document, and how it is read."""


@capability(
    id="from-xml",
    aliases=("parse",),
    display_name="Parse XML",
    description="Reads an XML document into nested objects.",
    known_errors=READ_ERRORS,
    examples=[
        Example(inputs={"text": _ORDER}, output={"o": {"@attributes": {"id": "5"}, "l": ["1", "2"], "n": {}}}),
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


class ExtractInput(DocumentInput, ValueOptions):
    """What is looked for."""

    path: str = Field(
        title="Path",
        description="XPath 1.0; or, for `output` `file`, names of elements with slashes: `/orders/order`, `//order`.",
        examples=["//line/@sku"],
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict, description="Namespaces by the prefixes of the path.", examples=[{"s": "urn:shop"}]
    )
    where: ConditionInput | None = Field(default=None, description="Only matches for which it holds.")
    limit: int | None = Field(default=None, ge=0, description="At most so many, counted after `where`.")
    output: Literal["values", "file"] = Field(
        default="values",
        description="`values`: an array. `file`: JSON lines in the workspace at `save_to`; the document is read piece "
        "by piece and may be of any size.",
    )
    save_to: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["work/orders.jsonl"])


class ExtractOutput(BaseModel):
    """What was found."""

    values: list[Any] | None = Field(default=None, description="In the order of the document; null where in a file.")
    file: FileReference | None = Field(default=None, description="JSON lines in the workspace.")
    count: int


@capability(
    id="xml-extract",
    aliases=("extract",),
    display_name="Extract from XML",
    description="Finds parts of a document by XPath, or streams elements of one of any size into a file.",
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(XPATH_INVALID, "The path is no XPath, or cannot be streamed.", "path"),
        KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
        KnownError.permanent("CONDITION_INVALID", "`where` is no condition.", "place"),
    ),
    examples=[
        Example(inputs={"text": _ORDER, "path": "//l"}, output={"values": ["1", "2"], "file": None, "count": 2}),
        Example(inputs={"text": _ORDER, "path": "/o/@id"}, output={"values": ["5"], "file": None, "count": 1}),
    ],
)
def xml_extract(inputs: ExtractInput, context: CapabilityContext) -> ExtractOutput:
    """What is found."""
    values = Values(inputs)
    if inputs.output == "file":
        if inputs.save_to is None:
            raise AgentError.permanent(OPTION_INVALID, "output `file` needs `save_to`, a path in the workspace")
        found: Iterator[Any] = streamed_values(inputs, values, context)
    else:
        found = iter(_xpath(inputs, values, context))
    if inputs.where is not None:
        found = filter(read_condition(inputs.where, "where"), found)
    found = islice(found, inputs.limit)
    if inputs.output == "file":
        stored, count = write_json_lines(inputs.save_to or "", found, context)
        return ExtractOutput(file=FileReference.of(stored, mime_type=MEDIA_TYPE), count=count)
    kept = list(found)
    return ExtractOutput(values=kept, count=len(kept))


def _xpath(inputs: ExtractInput, values: Values, context: CapabilityContext) -> list[Any]:
    from lxml import etree

    root = document(inputs, context)
    try:
        found = etree.XPath(inputs.path, namespaces=inputs.namespaces, regexp=False)(root)
    except (etree.XPathError, ValueError, TypeError) as error:
        raise _bad_path(inputs.path, str(error)[:200]) from None
    if not isinstance(found, list):  # a number, a text or a boolean
        return [str(found) if isinstance(found, str) else found]
    if len(found) > _MOST_MATCHES:
        raise _bad_path(inputs.path, f"more than {_MOST_MATCHES} parts fit: use output `file`")
    return [_result(item, values) for item in found]


def _result(item: Any, values: Values) -> Any:
    if isinstance(item, str):
        return str(item)
    if isinstance(item, tuple):  # of the namespace axis
        return {"prefix": item[0], "namespace": item[1]}
    return values.value(item) if isinstance(item.tag, str) else (item.text or "")


def streamed_values(inputs: ExtractInput, values: Values, context: CapabilityContext) -> Iterator[Any]:
    """The values of elements that fit a path of names, while the document is read; what was read is let go of."""
    names, anywhere = _steps(inputs)
    if inputs.max_bytes == type(inputs).model_fields["max_bytes"].default:
        inputs = inputs.model_copy(update={"max_bytes": _LARGEST_STREAM, "max_elements": _LARGEST_STREAM})
    stack: list[str] = []
    within = 0  # levels of elements that fit, one in another
    for event, element in pull(inputs, context):
        if event == "start":
            stack.append(str(element.tag))
            within += _fits(stack, names, anywhere=anywhere)
            continue
        if _fits(stack, names, anywhere=anywhere):
            within -= 1
            yield values.value(element)
        stack.pop()
        if not within:
            _let_go(element)


def _let_go(element: etree._Element) -> None:
    """Free an element that was read, and what stands before it beside it."""
    element.clear()
    while element.getprevious() is not None:
        parent = element.getparent()
        if parent is None:
            return
        del parent[0]


def _steps(inputs: ExtractInput) -> tuple[list[str], bool]:
    path = inputs.path
    anywhere = path.startswith("//") or not path.startswith("/")
    steps = path.lstrip("/").split("/")
    names = []
    for step in steps:
        prefix, colon, name = step.rpartition(":")
        if not step or not all(
            part == "*" or part.replace("-", "_").replace(".", "_").isidentifier() for part in (name,)
        ):
            raise _bad_path(path, "for output `file` it must consist of names of elements with slashes between them")
        if colon and prefix not in inputs.namespaces:
            raise _bad_path(path, f"the prefix {prefix!r} is not among `namespaces`")
        names.append(f"{{{inputs.namespaces[prefix]}}}{name}" if colon else name)
    return names, anywhere


def _fits(stack: list[str], names: list[str], *, anywhere: bool) -> bool:
    if len(stack) < len(names) or (not anywhere and len(stack) != len(names)):
        return False
    for tag, name in zip(stack[-len(names) :], names, strict=True):
        if name != "*" and tag != name and (name.startswith("{") or tag.rpartition("}")[2] != name):
            return False
    return True


def _bad_path(path: str, reason: str) -> AgentError:
    return AgentError.permanent(XPATH_INVALID, f"path {path[:200]!r}: {reason}", attributes={"path": path[:200]})


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

    line: int
    message: str


class ValidateOutput(BaseModel):
    """What was found."""

    valid: bool
    error_count: int
    errors: list[XmlViolation] = Field(description="The first `max_errors`, by line.")


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
    try:
        is_valid = schema.validate(root.getroottree())
    except etree.LxmlError as error:
        raise AgentError.permanent(SCHEMA_INVALID, f"the schema cannot be used: {str(error)[:200]}") from None
    entries: list[Any] = [*iter(schema.error_log)]  # type: ignore[call-overload]  # it is a sequence
    told = [XmlViolation(line=entry.line, message=entry.message) for entry in entries[: inputs.max_errors]]
    return ValidateOutput(valid=is_valid, error_count=len(entries), errors=sorted(told, key=lambda each: each.line))


def _schema(inputs: ValidateInput, context: CapabilityContext) -> etree.XMLSchema:
    from lxml import etree

    given = inputs.schemas

    class OnlyGiven(etree.Resolver):
        """Finds the schemas that the step gives, and none else."""

        def resolve(  # type: ignore[override]  # the stubs lack the last argument
            self, system_url: str | None, public_id: str | None, resolver: Any
        ) -> Any:
            name = system_url or ""
            text = given.get(name) or given.get(name.rpartition("/")[2])
            if text is None:
                raise AgentError.permanent(SCHEMA_INVALID, f"the schema includes {name[:200]!r}: give it in `schemas`")
            return self.resolve_string(text.encode(), resolver, base_url=name)

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    parser.resolvers.add(OnlyGiven())
    source = DocumentInput(data=inputs.schema_file, text=inputs.schema_text)
    document(source, context)  # no document type, within the bounds
    try:
        text = etree.tostring(document(source, context))
        return etree.XMLSchema(etree.fromstring(text, parser))
    except etree.LxmlError as error:
        raise AgentError.permanent(SCHEMA_INVALID, f"the schema is malformed: {str(error)[:300]}") from None
