"""`runtara agents check`: the conformance suite on what is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.text import json_text
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.plugins import BUNDLE_VARIABLE

if TYPE_CHECKING:
    from runtara_sdk.agents import DiscoveredAgent
    from runtara_sdk.testing.agents import AgentConformanceSuite

_PREFIX = "test_"
_NATIVE = "native build gives the same results"


@dataclass(frozen=True, slots=True)
class _Checked:
    """The problems of one agent by the name of the check, and what nobody provided for its examples."""

    agent_id: str
    problems: Mapping[str, tuple[str, ...]]
    not_provided: tuple[str, ...]

    @property
    def passed(self) -> int:
        return sum(not problems for problems in self.problems.values())

    def lines(self) -> Iterable[str]:
        for name, problems in self.problems.items():
            yield from (f"{self.agent_id}: {name}: {problem}" for problem in problems)
        yield f"{self.agent_id}: {self.passed} of {len(self.problems)} checks passed"
        if self.not_provided:
            yield (
                f"{self.agent_id}: not called were examples that need {', '.join(self.not_provided)}: "
                "a test of the agent can provide that"
            )

    def as_json(self) -> dict[str, Any]:
        return {
            "agentId": self.agent_id,
            "passed": self.passed == len(self.problems),
            "checks": [
                {"name": name, "passed": not problems, "problems": list(problems)}
                for name, problems in self.problems.items()
            ],
            "notProvided": list(self.not_provided),
        }


@click.command()
@click.argument("distribution")
@click.option("--native", is_flag=True, help="Build the agents into a native binary, too (needs a C compiler).")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps what is built for --native.  [default: DATA_DIR or .data]",
)
@click.option("--json", "as_json", is_flag=True, help="Print {distribution, passed, broken, agents} instead.")
@click.pass_context
def check(ctx: click.Context, distribution: str, *, native: bool, data_dir: Path | None, as_json: bool) -> None:
    """Check the agents of an installed distribution, and say what its author has to mend.

    Runs the conformance suite of `runtara_sdk.testing.agents` on each: metadata, schemas, examples, errors, hostile
    inputs, repetitions, cancellation, deadlines, secrets, imports, the distribution. Each problem is one line. With
    --native the examples are also called in a native binary, and must give there what they give in Python.

    RUNTARA_STDLIB_NAME names the bundle of a product, when the agents to check are its own.

    \b
    Exit codes:
      0    all checks passed
      1    something is to be mended
      2    no such distribution has agents, or --native is not possible on this machine

    \b
    Examples:
      runtara agents check runtara-agents-http
      runtara agents check runtara-agents-http --native
      runtara agents check runtara-agents-http --json
    """
    from runtara_sdk.agents import discover_agents
    from runtara_sdk.entry_points import normalised_name

    bundle = os.environ.get(BUNDLE_VARIABLE) or None
    found = discover_agents(variables={} if bundle is None else {BUNDLE_VARIABLE: bundle})
    wanted = normalised_name(distribution)
    chosen = [each for each in found.agents.values() if normalised_name(each.distribution) == wanted]
    broken = [each for each in found.broken if normalised_name(each.distribution) == wanted]
    if not chosen and not broken:
        known = ", ".join(sorted({each.distribution for each in found.agents.values()}))
        hint = "" if bundle is not None else f"; to check those of a bundle, name its module by {BUNDLE_VARIABLE}"
        raise InvalidInputError(
            f"no installed distribution {distribution!r} has agents (there are {known or 'none'}){hint}"
        )
    if native:
        _require_native_builds()
    suites = [_suite(each, bundle) for each in chosen]
    problems = {suite.agent.id: _run_suite(suite) for suite in suites}
    if native and suites:
        from runtara_sdk.testing.agent_checks.native import native_problems

        for agent_id, texts in native_problems(suites, data_dir=data_dir, progress=_progress).items():
            problems[agent_id][_NATIVE] = texts
    checked = [_Checked(suite.agent.id, problems[suite.agent.id], _not_provided(suite)) for suite in suites]
    passed = not broken and all(each.passed == len(each.problems) for each in checked)
    if as_json:
        document = {
            "distribution": distribution,
            "passed": passed,
            "broken": [{"name": plugin.name, "reason": plugin.reason} for plugin in broken],
            "agents": [each.as_json() for each in checked],
        }
        click.echo(json_text(document))
    else:
        for plugin in broken:
            click.echo(f"{plugin.name}: cannot be used: {plugin.reason}")
        for line in (line for each in checked for line in each.lines()):
            click.echo(line)
    ctx.exit(0 if passed else 1)


def _require_native_builds() -> None:
    from runtara_sdk.testing.agent_checks.native import missing_for_native_builds

    missing = missing_for_native_builds()
    if missing is not None:
        raise ConfigurationError(f"--native: {missing}")


def _suite(found: DiscoveredAgent, bundle: str | None) -> AgentConformanceSuite:
    from runtara_sdk.testing.agents import AgentConformanceSuite

    suite: AgentConformanceSuite = type(
        "Suite", (AgentConformanceSuite,), {"agent": found.definition, "bundle": bundle}
    )()
    return suite


def _run_suite(suite: AgentConformanceSuite) -> dict[str, tuple[str, ...]]:
    """The problems by the name of the check, in words."""
    from runtara_sdk.testing.agents import ProblemsFoundError

    problems: dict[str, tuple[str, ...]] = {}
    for name in (name for name in dir(suite) if name.startswith(_PREFIX)):
        found: tuple[str, ...] = ()
        try:
            getattr(suite, name)()
        except ProblemsFoundError as error:
            found = error.problems
        except AssertionError as error:
            found = (str(error),)
        except Exception as error:  # noqa: BLE001 - an agent that breaks the check is told like any other
            found = (f"the check itself ends with {type(error).__name__}: {error}",)
        problems[name.removeprefix(_PREFIX).replace("_", " ")] = found
    return problems


def _not_provided(suite: AgentConformanceSuite) -> tuple[str, ...]:
    needs = (example.needs for capability in suite.agent.capabilities for example in capability.examples)
    return tuple(dict.fromkeys(need for need in needs if need))


def _progress(line: str) -> None:
    click.echo(line, err=True)
