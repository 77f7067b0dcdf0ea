"""What an artifact was made from: distributions with their versions and digests, and the manifest that lists them."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from runtara_sdk.agents import DiscoveredAgent
from runtara_sdk.errors import ConfigurationError

from runtara_compiler.targets import AgentPin, Progress

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class DistributionPin:
    """An installed distribution, fixed by version and by a digest over the files of one of its packages."""

    name: str
    version: str
    sha256: str | None

    def as_json(self) -> dict[str, Any]:
        """The entry in a manifest."""
        return {"distribution": self.name, "version": self.version, "sha256": self.sha256}


def pin_distribution(name: str, package: str) -> DistributionPin:
    """Pin an installed distribution; its sources are those of the top-level `package`."""
    return DistributionPin(name, distribution_version(name), _package_digest(package.partition(".")[0]))


def pin_agent(agent: DiscoveredAgent) -> AgentPin:
    """Pin an agent as the plugin that was found provides it."""
    return AgentPin(
        agent_id=agent.definition.id,
        module=agent.module,
        attribute=agent.attribute,
        distribution=agent.distribution,
        version=agent.version,
        sha256=_package_digest(agent.module.partition(".")[0]),
    )


def pin_requirements(agents: Iterable[AgentPin], progress: Progress) -> tuple[DistributionPin, ...]:
    """Pin what the SDK and the agents require, at any depth; they themselves are pinned apart from it.

    The digests are those of a native base (`runtara_compiler.native.closure`).
    """
    from runtara_compiler.native.closure import SDK_DISTRIBUTION, Role, resolve_closure
    from runtara_compiler.native.inclusion import LEFT_OUT

    named = {agent.distribution for agent in agents if agent.distribution is not None} - {SDK_DISTRIBUTION}
    try:
        closure = resolve_closure(named, whole=[SDK_DISTRIBUTION], left_out=LEFT_OUT)
    except ConfigurationError as error:
        # An interpreter may hold what no installer has put there, and an archive runs on it all the same.
        progress(f"what the agents require is not pinned: {error.message}")
        return ()
    return tuple(
        DistributionPin(item.name, item.version, item.digest) for item in closure if item.role is Role.REQUIRED
    )


@lru_cache(maxsize=1)
def compiler_version() -> str:
    """Version of the compiler, as installed."""
    return distribution_version("runtara-compiler")


def distribution_version(name: str) -> str:
    """Version of an installed distribution, or `unknown`."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _package_digest(package: str) -> str | None:
    """SHA-256 over the names and contents of a package's files; the same for a wheel and for its source tree."""
    found = util.find_spec(package)
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    root = origin.parent if origin.name == "__init__.py" else None
    digest = hashlib.sha256()
    for path in _files(root) if root is not None else [origin]:
        name = path.relative_to(root).as_posix() if root is not None else path.name
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def _files(root: Path) -> Iterable[Path]:
    return sorted(
        path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )


def build_manifest(
    *,
    scenario: Mapping[str, Any],
    target: str,
    module_name: str,
    module_source: str,
    agents: Iterable[AgentPin],
    requirements: Iterable[DistributionPin],
    has_side_effects: bool,
    input_schema: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The JSON object that an artifact carries; the same inputs give the same manifest.

    Args:
        scenario: id, name, version, debug and sha256 of the scenario.
        target: name of the build target.
        module_name: name of the generated module.
        module_source: its text.
        agents: the agents that it imports.
        requirements: the distributions that these and the SDK require.
        has_side_effects: whether any step may change something outside the workflow.
        input_schema: what the data of a run must fit, as the scenario has it; None when it is too long to be told.
    """
    return {
        "manifestVersion": MANIFEST_VERSION,
        "target": target,
        "scenario": dict(scenario),
        "module": {"name": module_name, "sha256": hashlib.sha256(module_source.encode()).hexdigest()},
        "agents": [pin.as_json() for pin in agents],
        "requirements": [pin.as_json() for pin in requirements],
        "hasSideEffects": has_side_effects,
        "inputSchema": None if input_schema is None else dict(input_schema),
        "sdk": pin_distribution("runtara-sdk", "runtara_sdk").as_json(),
        "compiler": pin_distribution("runtara-compiler", "runtara_compiler").as_json(),
        "python": platform.python_version(),
    }
