"""The one table of diagnostic codes: what each means, how severe it is, and how to mend it."""

# ruff: noqa: E501 - a table reads best with one row a line

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors stop a compilation, warnings never do."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table: a stable code, a short title and an explanation with the remedy."""

    code: str
    title: str
    explanation: str

    @property
    def severity(self) -> Severity:
        """The letter of the code says it."""
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR


_ROWS = (
    # Structure of the graph.
    Code("E001", "Entry point missing", "`entryPoint` must name a step; it may be left out when exactly one step has no incoming edge."),
    Code("E002", "Unreachable step", "No chain of edges leads from the entry point to the step. Connect it or remove it."),
    Code("E003", "Finish unreachable", "The graph has Finish steps, but none can be reached, so its result would always be null."),
    Code("E004", "No steps", "A graph needs at least one step."),
    Code("E005", "Cycle of steps", "Edges lead from a step back to itself. A graph runs each step at most once; remove one of the edges."),
    # References.
    Code("E010", "Unknown step in a reference", "A path `steps.<id>` names a step that the graph does not have."),
    Code("E011", "Malformed path", "A reference is a bare path: names joined by dots, `[n]` for positions, `['key']` for other keys."),
    Code("E012", "Reference to a later step", "The referenced step can never have run before the referring one. Reorder the edges."),
    Code("E013", "Unknown variable", "A path `variables.<name>` names neither a variable of the graph nor a built-in one."),
    Code("E014", "Edge to an unknown step", "An edge of `executionPlan` names a step that the graph does not have."),
    # Agents.
    Code("E020", "Unknown agent", "No installed distribution provides the agent. Correct `agentId` or install its plugin."),
    Code("E021", "Unknown capability", "The agent has no capability of this id or alias."),
    Code("E022", "Required input missing", "The capability requires an input that `inputMapping` does not give."),
    Code("E023", "Wrong type of an immediate value", "The JSON type of the literal is not the type that the capability declares."),
    Code("E024", "Value not allowed", "The literal is not one of the values that the capability allows for this input."),
    Code("E025", "Malformed condition", "A condition has the wrong form: a wrong number of arguments, or it is not a condition at all."),
    # Data and variables.
    Code("E030", "Unknown kind of connection", "No installed agent takes this kind of connection, or the agent takes none."),
    Code("E040", "Secrets for an agent that may not have them", "Outputs of a Connection step may be read by agents only that are made for credentials."),
    Code("E041", "Secrets in a result", "A Finish step reads the outputs of a Connection step, so its secrets would become outputs."),
    Code("E042", "Secrets where they would show", "A step that is no agent, or a condition of an edge, reads the outputs of a Connection step."),
    Code("E051", "Unknown input field", "A path `data.<field>` names a field that `inputSchema` does not declare."),
    Code("E050", "Bad version of a child", "`childVersion` is `latest`, `current` or a number from 1 on."),
    Code("E056", "Scenarios embed each other", "A scenario cannot embed itself, directly or through its children."),
    Code("E124", "Child not found", "The embedded scenario, or the version that the step asks for, was not given to the compiler."),
    Code("E054", "Inputs for a child that declares none", "The child has no `inputSchema`, so nothing can be mapped to it."),
    Code("E055", "Required input of a child missing", "The child requires an input that `inputMapping` does not give."),
    Code("E058", "Unknown field of an output", "The output of the referenced step never has this field, so the path would always be null."),
    Code("E059", "Path below a plain value", "The path goes on below a text, a number or a boolean, which has nothing inside."),
    Code("E060", "Step name used twice", "Two steps carry the same `name`; names must tell steps apart."),
    # Edges.
    Code("E070", "Ambiguous conditional edges", "Several conditional edges leave one step with the same label and priority."),
    Code("E071", "Duplicate edges", "Several edges without condition leave one step with the same label, or beside conditional ones."),
    Code("E072", "Bad label on an edge of a Conditional", "Edges that leave a Conditional are labelled `true` or `false`."),
    Code("E073", "Branches that never meet", "Branches side by side each end in a Finish of their own, so only one result would count."),
    Code("E074", "Label without meaning", "The step that the edge leaves gives this label no meaning."),
    Code("E117", "Output without a name", "A Finish mapping has an empty name; every output needs one."),
    Code("E118", "Output without a source", "A Finish mapping names an output, but its path is empty."),
    # The document itself.
    Code("E090", "Malformed JSON", "The source is not one JSON object in UTF-8."),
    Code("E091", "Duplicate key", "A JSON object has the same key twice; one of the values would be lost."),
    Code("E092", "Document too large", "The source exceeds the bound of size or nesting."),
    Code("E093", "Unknown field", "The language has no such field at this place; it is refused so that no misspelling passes silently."),
    Code("E094", "Missing field", "A required field is absent."),
    Code("E095", "Wrong value", "A field has the wrong JSON type, or a value that the language does not know."),
    Code("E096", "Unknown step type", "The language has no such step type."),
    Code("E097", "Not compiled by this version", "Part of the language, but this version of the compiler does not compile it."),
    Code("E098", "Step id differs from its key", "The id of a step is its key in `steps`; a field `id` must repeat it or be left out."),
    Code("E099", "Field given twice", "A field is given under two of its names; keep the current one."),
    # Roots.
    Code("E126", "Unknown root", "A path starts with a name that is not a root, such as `data`, `variables` or `steps`."),
    Code("E127", "Root not available here", "The root exists in the language, but not at this place."),
    Code("E128", "Signal step id used twice", "The id of a WaitForSignal step names the signal that answers it, so it is unique in a scenario, bodies included."),
    Code("E129", "Malformed template", "The text between `{{ }}` or `{% %}` is not what the template language knows."),
    # Warnings.
    Code("W003", "Step without outgoing edge", "Only Finish steps end a graph on purpose; after this step the branch ends."),
    Code("W004", "Edge out of a Finish", "A Finish ends the graph at once, so the edge is never followed."),
    Code("W020", "Unknown input", "`inputMapping` gives an input that the capability does not declare; the agent may ignore it."),
    Code("W025", "Number of arguments", "An operator with too few arguments has a fixed result, and those beyond its number are ignored."),
    Code("W030", "Many retries", "`maxRetries` is above 50."),
    Code("W031", "Long retry delay", "`retryDelay` is above one hour."),
    Code("W032", "Many elements at a time", "`parallelism` is above 100."),
    Code("W033", "Many iterations", "`maxIterations` is above 10 000."),
    Code("W034", "Long timeout", "`timeout` is above one hour."),
    Code("W035", "Negative duration", "A negative `durationMs` counts as 0."),
    Code("W040", "Duplicate edge", "The same edge is given more than once; the repetition changes nothing."),
    Code("W050", "Reference to itself", "A step refers to its own record, which does not exist before it has run; the value is null."),
    Code("W051", "Unchecked path into an object", "The path goes into an object whose properties are not declared."),
    Code("W052", "Template reads what cannot be there", "A placeholder reads a step, a variable or a field that does not exist; it prints nothing or fails."),
    Code("W053", "Bare root of the error", "The error is read as `error` or `__error`; `steps.__error` is the form to prefer."),
    Code("W061", "Compensation not executed", "`compensation` is accepted for old documents, but nothing executes it."),
    Code("W073", "Split that is not parallel", "`parallelism` asks for elements side by side, but `sequential` is set."),
    Code("W080", "Unchecked reference", "A path into `data` cannot be checked, because the graph has no `inputSchema`."),
    Code("W081", "Unknown field of a record", "A record of a step has `stepId`, `stepName`, `stepType` and `outputs`; the path reads null."),
    Code("W124", "Child that nothing starts", "A child scenario was given, but no step of the scenario or of its children starts it."),
    Code("W090", "Old name", "The field has a current name; the old one is still read."),
)  # fmt: skip

CODES: dict[str, Code] = {row.code: row for row in _ROWS}
"""Code to row, in the order of the documentation."""
