"""A template in the layout of cookiecutter, rendered without cookiecutter.

`cookiecutter.json` has the questions with their defaults; a list is a choice whose first member is the default. Values
are templates over the questions before them. `__NAME` is a value that is computed and not asked for, `_NAME` a setting
of cookiecutter. The directory whose name is a template holds the files; names and contents of files are templates, and
a file whose name becomes empty is left out.

Files include licences, which all templates share: those of `_included/licences`. Cookiecutter looks for these in the
directory `templates` of a template, where a clone of the repository has a link; wheels have no links, and this module
needs none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from runtara_sdk.errors import InvalidInputError

QUESTIONS = "cookiecutter.json"

_INCLUDED = "_included"


@dataclass(frozen=True)
class RenderedProject:
    """What a template gives.

    Attributes:
        directory: name of the directory of the project.
        files: contents by path within it, with slashes.
    """

    directory: str
    files: dict[str, bytes]


class ProjectTemplate:
    """A directory with a `cookiecutter.json`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._questions: dict[str, Any] = json.loads((directory / QUESTIONS).read_text(encoding="utf-8"))
        (self._project,) = (path for path in directory.iterdir() if path.name.startswith("{{"))

    def choices(self, question: str) -> list[str]:
        """The answers that a question offers; none where any text is one."""
        default = self._questions[question]
        return list(default) if isinstance(default, list) else []

    def render(self, answers: Mapping[str, str]) -> RenderedProject:
        """The project for some answers; the rest are the defaults of the template.

        Raises `InvalidInputError` for a question that the template does not ask, and an answer that it does not offer.
        """
        loader = jinja2.FileSystemLoader([self._project, self._directory.parent / _INCLUDED])
        # The files are Python, TOML and text: nothing is to be escaped for HTML.
        environment = jinja2.Environment(
            loader=loader,
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701
            **self._questions.get("_jinja2_env_vars", {}),
        )
        context = {"cookiecutter": self._values(environment, answers)}
        files = {}
        for path in self._file_names():
            name = environment.from_string(path).render(context)
            if name and not name.endswith("/"):
                files[name] = environment.get_template(path).render(context).encode()
        return RenderedProject(environment.from_string(self._project.name).render(context), files)

    def _values(self, environment: jinja2.Environment, answers: Mapping[str, str]) -> dict[str, Any]:
        unknown = [name for name in answers if name.startswith("_") or name not in self._questions]
        if unknown:
            raise InvalidInputError(f"the template does not ask for {', '.join(unknown)}")
        values: dict[str, Any] = {}
        for question, default in self._questions.items():
            if question in answers:
                offered = self.choices(question)
                if offered and answers[question] not in offered:
                    raise InvalidInputError(f"{question} must be one of {', '.join(offered)}")
                values[question] = answers[question]
            elif isinstance(default, list):
                values[question] = default[0]
            elif isinstance(default, str):
                values[question] = environment.from_string(default).render(cookiecutter=values)
        return values

    def _file_names(self) -> Iterator[str]:
        for path in sorted(self._project.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(self._project).as_posix()
