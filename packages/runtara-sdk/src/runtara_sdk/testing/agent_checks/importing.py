"""What importing an agent does, seen in a fresh interpreter: a workflow pays for it at each start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from runtara_sdk.entry_points import normalised_name
from runtara_sdk.testing.agent_checks.findings import findings
from runtara_sdk.testing.agent_checks.import_probe import CODE
from runtara_sdk.testing.agent_checks.installed import InstalledAgentCalls
from runtara_sdk.testing.agent_checks.installed_files import installed_owners, required_by
from runtara_sdk.workflow.redaction import names_secret

_IMPORT_SECONDS = 60.0
_MEASUREMENTS = 2
_SHORTEST_LIMIT_SECONDS = 0.25
_DAEMONS = frozenset({"runtara_compiler", "runtara_core", "runtara_environment"})
_NO_SECRETS = frozenset({"OLDPWD", "PWD"})
_STANDARD = sys.stdlib_module_names | {"__main__", "__mp_main__"}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a fresh interpreter tells of one import.

    Attributes:
        problem: why it failed.
        printed: what it wrote to standard output.
        sdk_seconds, seconds: time of importing the SDK's agent API, and of the agent after that.
        acts: what it did besides defining things, with the place.
        variables: names of environment variables that it read, with the place.
        copies: where it read all environment variables.
        changed: global state that is different now.
        modules: all loaded modules.
        new_modules: file of each module that the agent's import loaded, by name.
    """

    problem: str | None
    printed: str = ""
    sdk_seconds: float = 0.0
    seconds: float = 0.0
    acts: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    new_modules: Mapping[str, str | None] = field(default_factory=dict)


class AgentImportCases(InstalledAgentCalls):
    """What every agent owes the programs that import it.

    Attributes:
        lazy_imports: modules that importing the agent must not load, because only a call needs them.
        import_times: how many times as long as the SDK's own import that of the agent may take.
    """

    lazy_imports: ClassVar[tuple[str, ...]] = ()
    import_times: ClassVar[float] = 3.0

    def test_import_is_light(self) -> None:
        """Importing the agent loads none of `lazy_imports`: a workflow pays for them when it calls."""
        if (report := self._import()) is None:
            return
        with findings() as found:
            loaded = [name for name in self.lazy_imports if name in report.modules]
            found.require(
                not loaded,
                f"importing {self._discovered().module} loads {', '.join(loaded)}: import them in the functions that "
                "need them",
            )

    def test_import_is_quick(self) -> None:
        """Importing the agent takes no more than `import_times` the time of the SDK's own import."""
        if (report := self._import()) is None:
            return
        measured = report.seconds
        for _ in range(_MEASUREMENTS):
            limit = max(_SHORTEST_LIMIT_SECONDS, self.import_times * report.sdk_seconds)
            measured = min(measured, report.seconds)
            if measured <= limit:
                return
            report = _import_anew(*self._place())  # something else may have kept the machine busy
        with findings() as found:
            found.add(
                f"importing {self._discovered().module} takes {measured:.2f} s, where {limit:.2f} s are allowed "
                f"({self.import_times:g} times the SDK's own import): import large libraries in the functions that "
                "need them"
            )

    def test_import_does_nothing_else(self) -> None:
        """Importing opens no socket, starts no thread or process, writes no file, prints nothing, reads no secrets."""
        if (report := self._import()) is None:
            return
        module = self._discovered().module
        with findings() as found:
            for act in report.acts:
                found.add(f"importing {module} {act}: do that in a call")
            found.require(not report.printed, f"importing {module} prints {report.printed[:100]!r}: remove that")
            own = module.partition(".")[0]
            for place in report.copies:
                if place.partition(",")[0].partition(".")[0] == own:
                    found.add(f"importing {module} reads the whole environment (in {place}): read it in a call")
            for name, place in report.variables.items():
                if name not in _NO_SECRETS and names_secret(name):
                    found.add(
                        f"importing {module} reads the environment variable {name} (in {place}), which looks like a "
                        "secret: take secrets from the connection of a call"
                    )

    def test_import_changes_no_global_state(self) -> None:
        """Importing leaves to the program what belongs to it: signal handlers, logging and so on."""
        if (report := self._import()) is None:
            return
        with findings() as found:
            for changed in report.changed:
                found.add(
                    f"importing {self._discovered().module} changes {changed}, which the whole process shares: leave "
                    "it to the program"
                )

    def test_import_loads_what_is_declared(self) -> None:
        """Every module that importing loads is of the distribution, of what it requires, or of the standard library."""
        if (report := self._import()) is None:
            return
        found_agent = self._discovered()
        own = found_agent.module.partition(".")[0]
        distribution = normalised_name(found_agent.distribution)
        allowed = required_by(distribution)
        with findings() as found:
            for name, file in report.new_modules.items():
                top = name.partition(".")[0]
                if top in _DAEMONS:
                    found.add(
                        f"importing {found_agent.module} loads {name}, which is of a daemon: use runtara_sdk only"
                    )
                    continue
                if top in _STANDARD or top == own or file is None:
                    continue
                owners = installed_owners(top, file)
                if not owners:
                    found.add(
                        f"importing {found_agent.module} loads {top} from {file}, which belongs to no installed "
                        f"distribution: make it a part of {found_agent.distribution}, or require what it is of"
                    )
                elif not owners & allowed:
                    found.add(
                        f"importing {found_agent.module} loads {top} of {', '.join(sorted(owners))}, which "
                        f"{found_agent.distribution} does not require: add it to its dependencies"
                    )

    def _import(self) -> ImportReport | None:
        """What importing the agent does; None for an agent that is not installed. Raises when it fails."""
        if not self.installed:
            return None
        report = _imported(*self._place())
        with findings() as found:
            found.require(
                report.problem is None,
                f"importing {self._discovered().module} alone fails: {report.problem}: it must import all it needs, "
                "and end nothing",
            )
        return report

    def _place(self) -> tuple[str, str, tuple[str, ...]]:
        discovered = self._discovered()
        return discovered.module, discovered.attribute, tuple(path for path in sys.path if path)


def _import_anew(module: str, attribute: str, search_path: tuple[str, ...]) -> ImportReport:
    with tempfile.TemporaryDirectory(prefix="runtara-import-") as directory:
        result = Path(directory) / "report.json"
        try:
            completed = subprocess.run(
                [sys.executable, "-P", "-B", "-c", CODE, module, attribute, str(result)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_IMPORT_SECONDS,
                check=False,
            )
            document: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            return ImportReport(f"it does not end within {_IMPORT_SECONDS:.0f} s")
        except FileNotFoundError:
            end = completed.stderr.strip()[-300:]
            return ImportReport(f"the interpreter ended with the exit code {completed.returncode} {end}".rstrip())
    return ImportReport(
        problem=document["problem"],
        printed=completed.stdout.strip(),
        sdk_seconds=document["sdk_seconds"],
        seconds=document["seconds"],
        acts=tuple(document["acts"]),
        variables=document["variables"],
        copies=tuple(document["copies"]),
        changed=tuple(document["changed"]),
        modules=frozenset(document["modules"]),
        new_modules=document["new_modules"],
    )


_imported = lru_cache(maxsize=32)(_import_anew)
"""Several checks read one report."""
