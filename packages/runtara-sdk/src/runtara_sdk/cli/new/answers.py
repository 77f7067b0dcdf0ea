"""What is asked about a new project, and which answers are refused: each with the reason and the remedy."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from typing import ClassVar

from runtara_sdk.agents.connection_types import INTEGRATION_ID
from runtara_sdk.agents.definition import AGENT_ID
from runtara_sdk.errors import InvalidInputError

NO_CONNECTION = "none"

MAXIMUM_NAME_CHARACTERS = 40
MAXIMUM_DISTRIBUTION_CHARACTERS = 55
"""With longer names the lines of the project would be longer than its own formatter lets them be."""

MAXIMUM_TEXT_CHARACTERS = 300

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
_USED_MODULES = frozenset(
    {
        "httpx",
        "pluggy",
        "pydantic",
        "pytest",
        "runtara_compiler",
        "runtara_core",
        "runtara_environment",
        "runtara_sdk",
        "runtara_workflow_stdlib",
        "tests",
    }
)
"""Modules that some project imports or holds beside its own."""


@dataclass(frozen=True, kw_only=True)
class ProjectAnswers:
    """Answers to the questions of every template; None leaves the answer to the template.

    Attributes:
        name: of what the project gives.
        distribution: what is installed; the module has this name with underscores.
        licence: one that the template offers.
        description, author: one line each.

    Raises `InvalidInputError` for the first answer that is not acceptable.
    """

    kind: ClassVar[str]
    """One of `runtara_sdk.cli.new.KINDS`."""
    named: ClassVar[str]
    """What `name` is the name of."""

    name: str
    distribution: str | None = None
    licence: str = "MIT"
    description: str | None = None
    author: str | None = None

    def __post_init__(self) -> None:
        _check_id(f"the name of the {self.named}", self.name, AGENT_ID)
        if self.distribution is not None:
            _check_distribution(self.distribution)
        for option, text in (("--description", self.description), ("--author", self.author)):
            if text is not None:
                _check_line(option, text)

    def given(self) -> dict[str, str]:
        """The answers that are not left to the template, by question."""
        return {question: answer for question, answer in vars(self).items() if answer is not None}


@dataclass(frozen=True, kw_only=True)
class AgentAnswers(ProjectAnswers):
    """Answers about an agent, whose id is the name.

    Attributes:
        connection_type: id of the connection type that the agent declares, or `none`.
        capabilities: `sync` or `async`.
    """

    kind = "agent"
    named = "agent"

    connection_type: str = NO_CONNECTION
    capabilities: str = "sync"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.connection_type != NO_CONNECTION:
            _check_id("the connection type", self.connection_type, INTEGRATION_ID)


@dataclass(frozen=True, kw_only=True)
class StorageAnswers(ProjectAnswers):
    """Answers about a storage, whose URLs have the name as scheme, with hyphens."""

    kind = "storage"
    named = "storage"

    @property
    def scheme(self) -> str:
        """What the URLs begin with; a scheme has no underscores."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class RunnerAnswers(ProjectAnswers):
    """Answers about a runner, whose `runner_type` is the name."""

    kind = "runner"
    named = "runner"


@dataclass(frozen=True, kw_only=True)
class StdlibAnswers(ProjectAnswers):
    """Answers about a product's bundle of agents; the name is also the id of the product's own agent."""

    kind = "stdlib"
    named = "product"


def module_name(distribution: str) -> str:
    """The module of a distribution."""
    return re.sub(r"[._-]", "_", distribution.lower())


def _check_id(kind: str, value: str, pattern: re.Pattern[str]) -> None:
    if len(value) > MAXIMUM_NAME_CHARACTERS:
        raise InvalidInputError(f"{kind} has {len(value)} characters: at most {MAXIMUM_NAME_CHARACTERS} are accepted")
    if not pattern.fullmatch(value):
        proposed = "_".join(re.findall(r"[a-z0-9]+", value.lower())).lstrip("0123456789_")
        hint = f"; try {proposed!r}" if proposed and pattern.fullmatch(proposed) else ", beginning with a letter"
        raise InvalidInputError(f"{kind} {value!r} must be lower-case words with underscores{hint}")
    if keyword.iskeyword(value):
        raise InvalidInputError(f"{kind} {value!r} is a keyword of Python; choose another word, or two")


def check_module(distribution: str, place: str = "the distribution") -> None:
    """Raise `InvalidInputError` when a distribution, which `place` names, gives a module that cannot be used."""
    module = module_name(distribution)
    gives = f"{place} {distribution!r} gives the module {module!r}, which"
    if not module.isidentifier():
        raise InvalidInputError(f"{gives} begins with a digit; put a word first")
    if keyword.iskeyword(module):
        raise InvalidInputError(f"{gives} is a keyword of Python")
    if module in sys.stdlib_module_names:
        raise InvalidInputError(f"{gives} Python itself has; add a word")
    if module in _USED_MODULES:
        raise InvalidInputError(f"{gives} the project needs; add a word")


def _check_distribution(value: str) -> None:
    place = "--distribution"
    if len(value) > MAXIMUM_DISTRIBUTION_CHARACTERS:
        text = f"{place} has {len(value)} characters: at most {MAXIMUM_DISTRIBUTION_CHARACTERS} are accepted"
        raise InvalidInputError(text)
    if not _DISTRIBUTION.fullmatch(value):
        raise InvalidInputError(
            f"{place} {value!r} is no name of a distribution: use letters, digits, and a single . _ or - between them"
        )
    check_module(value, place)


def _check_line(option: str, text: str) -> None:
    if not text.strip():
        raise InvalidInputError(f"{option} is empty: give a text, or leave it out")
    if len(text) > MAXIMUM_TEXT_CHARACTERS:
        raise InvalidInputError(f"{option} has {len(text)} characters: at most {MAXIMUM_TEXT_CHARACTERS} are accepted")
    if not text.isprintable():
        raise InvalidInputError(f"{option} must be one line without control characters")
