"""The distribution of an agent: what installers, type checkers and lists of licences read."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from runtara_sdk.entry_points import installed_requirements, normalised_name
from runtara_sdk.testing.agent_checks.findings import Findings, findings
from runtara_sdk.testing.agent_checks.installed import InstalledAgentCalls
from runtara_sdk.testing.agent_checks.installed_files import is_editable

_SDK = "runtara-sdk"
_OF_EVERYBODY = frozenset(
    {"benchmarks", "build", "conftest", "dist", "doc", "docs", "example", "examples", "scripts", "src", "test", "tests"}
)
_PROGRAMS = frozenset({"bin", "Scripts"})
_INFORMATION = (".dist-info", ".egg-info")


class AgentInstallationCases(InstalledAgentCalls):
    """What every agent owes those who install it."""

    def test_is_discovered(self) -> None:
        """The installed plugin is found, and its static import reaches the same definition."""
        if not self.installed:
            return
        found_agent = self._discovered()
        with findings() as found:
            found.require(
                found_agent.definition is self.agent,
                f"discovery found another definition of the agent {self.agent.id!r}, in {found_agent.module} of "
                f"{found_agent.distribution}: give one of them another id",
            )

    def test_supported_versions_are_declared(self) -> None:
        """The distribution says which versions of the SDK it works with; with others it is refused, not failing."""
        if not self.installed:
            return
        distribution = self._discovered().distribution
        if normalised_name(distribution) == _SDK:
            return
        from packaging.requirements import Requirement

        required = [Requirement(text) for text in installed_requirements(distribution)]
        ranges = [each.specifier for each in required if normalised_name(each.name) == _SDK]
        bounded = any(each.operator in ("<", "<=", "==", "~=") for specifiers in ranges for each in specifiers)
        with findings() as found:
            if found.require(bool(ranges), f"{distribution} must require runtara-sdk: its agents are made with it"):
                found.require(
                    bounded, f"{distribution} must bound the versions of runtara-sdk, as in runtara-sdk>=0.1,<0.2"
                )

    def test_distribution_describes_itself(self) -> None:
        """The metadata has a description and a licence."""
        if not self.installed:
            return
        name = self._discovered().distribution
        licence = _header(name, "License-Expression") or _header(name, "License")
        classifiers = metadata.metadata(name).get_all("Classifier") or []
        with findings() as found:
            found.require(bool(_header(name, "Summary")), f"{name} has no description: set `description` in [project]")
            found.require(
                bool(licence) or any(each.startswith("License ::") for each in classifiers),
                f'{name} names no licence: set `license = "MIT"`, or whichever it is, in [project]',
            )

    def test_package_is_typed(self) -> None:
        """The package has the marker `py.typed`, so that type checkers read its annotations."""
        if not self.installed:
            return
        module = self._discovered().module.partition(".")[0]
        directories = _directories(module)
        with findings() as found:
            found.require(
                any((directory / "py.typed").is_file() for directory in directories),
                f"{module} has no file py.typed: put an empty one beside its __init__.py"
                if directories
                else f"{module} is a single module, which cannot say that it is typed: make it a package with py.typed",
            )

    def test_files_lie_in_its_own_packages(self) -> None:
        """What is installed lies in packages that are the distribution's own, and disturbs no other.

        A distribution that is installed in place tells its files only once it is built.
        """
        if not self.installed:
            return
        distribution = metadata.distribution(self._discovered().distribution)
        if is_editable(distribution):
            return
        owners = metadata.packages_distributions()
        names = {normalised_name(distribution.name)}
        packages: dict[str, PurePosixPath] = {}
        with findings() as found:
            for file in distribution.files or ():
                _check_file(found, distribution.name, file)
                top = file.parts[0].partition(".")[0]
                if file.suffix in (".py", ".so", ".pyd") and top.isidentifier():
                    packages.setdefault(top, file)
            for top in packages:
                others = {*map(normalised_name, owners.get(top, ()))} - names
                found.require(
                    not others or not any(directory / "__init__.py" for directory in _directories(top)),
                    f"{distribution.name} installs into the package {top} of {', '.join(sorted(others))}: use a "
                    "package of its own",
                )


def _check_file(found: Findings, distribution: str, file: PurePosixPath) -> None:
    top, is_top = file.parts[0], len(file.parts) == 1
    if top.endswith(_INFORMATION):
        return
    if ".." in file.parts or file.is_absolute():
        outside = [part for part in file.parts if part != ".."]
        found.require(
            outside[0] in _PROGRAMS and not file.is_absolute(),
            f"{distribution} installs {'/'.join(outside)} outside of its packages: keep data in a package, and read it "
            "with importlib.resources",
        )
    elif file.suffix == ".pth":
        found.add(f"{distribution} installs {file}, which runs at each start of Python: remove it")
    elif top.partition(".")[0] in _OF_EVERYBODY:
        found.add(
            f"{distribution} installs {top}, a name that other distributions use, too: leave it out of the wheel, as "
            "with [tool.hatch.build.targets.wheel] packages"
        )
    elif is_top and file.suffix not in (".py", ".so", ".pyd", ".pyi"):
        found.add(f"{distribution} installs {file} beside all packages: keep data in a package")


def _directories(module: str) -> list[Path]:
    if module in sys.modules and (known := getattr(sys.modules[module], "__path__", None)) is not None:
        return [Path(path) for path in known]
    specification = find_spec(module)
    locations = specification.submodule_search_locations if specification is not None else None
    return [Path(path) for path in locations or ()]


def _header(distribution: str, name: str) -> str:
    text = next(iter(metadata.metadata(distribution).get_all(name) or [""])).strip()
    return "" if text.upper() == "UNKNOWN" else text
