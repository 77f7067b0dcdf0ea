"""Which agents there are and what they can do: `list_agents` and `get_capability`.

A child process loads the plugins and describes their agents, which takes a second or two. What it said is kept until
the installed distributions or the files of the agents change. A plugin that ends or blocks the whole process is left
out, and the others are listed without it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runtara_sdk.agent_process.messages import LIST, LOADING
from runtara_sdk.errors import RuntaraError

from runtara_environment.agents.agent_process import ProcessEnd, ProcessReport, run_agent_process
from runtara_environment.agents.installed_state import InstalledState
from runtara_environment.agents.process_environment import process_environment

logger = logging.getLogger(__name__)

_LISTING_SECONDS = 45.0
"""For all attempts together; below the time of a handler."""

_MAX_ATTEMPTS = 4
_MAX_ANSWER_BYTES = 48 * 1024 * 1024
_NO_NETWORK: Mapping[str, str] = {}


class AgentListingError(RuntaraError):
    """The agents cannot be listed; the message says why."""

    code = "LIST_AGENTS_ERROR"


@dataclass(frozen=True, slots=True)
class InstalledCapability:
    """One capability of an installed agent.

    Attributes:
        agent_id: as listed.
        capability_id: as listed, whatever alias was asked for.
        module: where the definition of its agent is.
        attribute: its name there.
        document: CapabilityInfo with `inputSchema` and `outputSchema`.
    """

    agent_id: str
    capability_id: str
    module: str
    attribute: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class InstalledAgents:
    """What a listing found; `agents` as `runtara_sdk.agent_process.program.list_agents` describes them."""

    agents: tuple[Mapping[str, Any], ...]

    @cached_property
    def json(self) -> bytes:
        """AgentInfo of each, by id, as a JSON array."""
        return json.dumps([agent["info"] for agent in self.agents], ensure_ascii=False).encode("utf-8", "replace")

    def find(self, agent_id: str, capability_id: str) -> InstalledCapability | None:
        """A capability by id or alias, of an agent by its id in any case; None when there is none."""
        agent = self._agent(agent_id)
        if agent is None:
            return None
        for info in agent["info"]["capabilities"]:
            if capability_id == info["id"] or capability_id in info.get("aliases", ()):
                return InstalledCapability(
                    agent_id=agent["info"]["id"],
                    capability_id=info["id"],
                    module=agent["module"],
                    attribute=agent["attribute"],
                    document={**info, **agent["schemas"][info["id"]]},
                )
        return None

    def has_agent(self, agent_id: str) -> bool:
        """Whether there is an agent of this id, in any case."""
        return self._agent(agent_id) is not None

    def capability_names(self, agent_id: str) -> list[str]:
        """The ids of the capabilities of an agent, and behind them the aliases; none of an unknown agent."""
        agent = self._agent(agent_id)
        capabilities = [] if agent is None else agent["info"]["capabilities"]
        aliases = (alias for each in capabilities for alias in each.get("aliases", ()))
        return [*(each["id"] for each in capabilities), *aliases]

    @property
    def agent_ids(self) -> list[str]:
        """The ids of all, sorted."""
        return [each["info"]["id"] for each in self.agents]

    def _agent(self, agent_id: str) -> Mapping[str, Any] | None:
        return next((each for each in self.agents if each["info"]["id"] == agent_id.lower()), None)


class AgentListing:
    """The agents that are installed beside this environment, or those of the bundle that RUNTARA_STDLIB_NAME names."""

    def __init__(self) -> None:
        self._known: tuple[InstalledState, list[str], InstalledAgents] | None = None
        self._refreshing: asyncio.Task[InstalledAgents] | None = None
        self._reported: set[tuple[str, str]] = set()

    async def list_agents(self) -> InstalledAgents:
        """Exactly the agents that workflows may use here.

        Raises `AgentListingError`.
        """
        if self._known is not None:
            state, sources, agents = self._known
            if await asyncio.to_thread(InstalledState.look, sources) == state:
                return agents
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name="list agents")
            self._refreshing.add_done_callback(_take_error)
        # The next caller has use for it when this one gives up.
        return await asyncio.shield(self._refreshing)

    async def get_capability(self, agent_id: str, capability_id: str) -> InstalledCapability | None:
        """One capability by id or alias, or None.

        Raises `RuntaraError` (GET_CAPABILITY_ERROR) when the agents cannot be listed.
        """
        try:
            return (await self.list_agents()).find(agent_id, capability_id)
        except AgentListingError as error:
            raise RuntaraError(error.message, code="GET_CAPABILITY_ERROR", retryable=error.retryable) from error

    async def close(self) -> None:
        """End a listing that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _refresh(self) -> InstalledAgents:
        began_ns = time.time_ns()
        answer = await self._ask()
        if "error" in answer:
            raise AgentListingError(answer["error"]["message"])
        self._report(answer["broken"])
        agents = InstalledAgents(tuple(answer["agents"]))
        sources: list[str] = answer["sources"]
        state = await asyncio.to_thread(InstalledState.look, sources)
        # What was changed meanwhile may have been read before that: then the next caller has it listed anew.
        is_certain = not state.has_changed_between(began_ns, time.time_ns())
        self._known = (state, sources, agents) if is_certain else None
        return agents

    async def _ask(self) -> dict[str, Any]:
        """The answer of a process that loads all plugins but those that ended or blocked an earlier one."""
        give_up = time.monotonic() + _LISTING_SECONDS
        left_out: list[dict[str, str]] = []
        for attempt in range(_MAX_ATTEMPTS):
            # The first attempt leaves time for others, as one plugin may take all that it is given.
            seconds = (give_up - time.monotonic()) / (2 if attempt < _MAX_ATTEMPTS - 1 else 1)
            report = await _run([each["name"] for each in left_out], seconds)
            answer = _answer(report)
            if answer is not None:
                answer["broken"] = [*answer.get("broken", ()), *left_out]
                return answer
            reason = _reason(report, seconds)
            plugin = _loading(report)
            if plugin is None or report.end is ProcessEnd.SAID_TOO_MUCH:
                raise AgentListingError(f"the agents cannot be listed: the process that loads them {reason}")
            left_out.append({**plugin, "reason": f"the process that loads it {reason}"})
        names = ", ".join(each["distribution"] for each in left_out)
        raise AgentListingError(f"the agents cannot be listed: {names} end the process that loads them")

    def _report(self, broken: list[dict[str, str]]) -> None:
        """Log what is left out, each reason once."""
        for each in broken:
            if (each["distribution"], each["reason"]) not in self._reported:
                logger.warning("left out: %s of %s: %s", each["name"], each["distribution"], each["reason"])
        self._reported = {(each["distribution"], each["reason"]) for each in broken}


def _take_error(refreshing: asyncio.Task[InstalledAgents]) -> None:
    """Nobody may be left to hear of it, which is no reason for asyncio to complain."""
    if not refreshing.cancelled():
        refreshing.exception()


async def _run(excluded: list[str], seconds: float) -> ProcessReport:
    try:
        with tempfile.TemporaryDirectory(prefix="runtara-agents-", ignore_cleanup_errors=True) as directory:
            return await run_agent_process(
                LIST,
                order=b"",
                environment=process_environment(Path(directory), _NO_NETWORK, excluded),
                directory=Path(directory),
                timeout_seconds=seconds,
                max_answer_bytes=_MAX_ANSWER_BYTES,
            )
    except OSError as error:
        text = f"the agents cannot be listed: no process can be started for it: {error.strerror or error}"
        raise AgentListingError(text, retryable=True) from error


def _documents(report: ProcessReport) -> list[dict[str, Any]]:
    documents = []
    for line in report.lines:
        try:
            document = json.loads(line)
        except ValueError:  # cut off, as the process has ended in the middle of it
            continue
        if isinstance(document, dict):
            documents.append(document)
    return documents


def _answer(report: ProcessReport) -> dict[str, Any] | None:
    found = [document for document in _documents(report) if LOADING not in document]
    return found[-1] if found else None


def _loading(report: ProcessReport) -> dict[str, str] | None:
    """The plugin that was being loaded at the end, if one was."""
    found = [document[LOADING] for document in _documents(report) if LOADING in document]
    return found[-1] if found else None


def _reason(report: ProcessReport, seconds: float) -> str:
    if report.end is ProcessEnd.TIME_OVER:
        return f"did not end within {seconds:.0f} s"
    if report.end is ProcessEnd.SAID_TOO_MUCH:
        return f"said more than {_MAX_ANSWER_BYTES} bytes"
    last = report.errors.rpartition("\n")[2].strip()
    return report.describe_exit() + (f": {last[:500]}" if last else "")
