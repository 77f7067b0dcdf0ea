"""Whether an installed plugin fits the Runtara that is installed beside it.

The version of the interface for plugins is that of the distribution that hosts them: `runtara-sdk` for agents and
commands, `runtara-core` for storages, `runtara-environment` for runners, `runtara-compiler` for build targets. The
range that a plugin supports is what its distribution requires of them (`runtara-sdk>=0.1,<0.2`). Installers see to
it, but not always: with `--no-deps`, or when another distribution is installed later, what lies side by side may not
fit. Nothing is imported to find out.
"""

from __future__ import annotations

from runtara_sdk.entry_points import installed_requirements, installed_version, normalised_name

RELEASED_TOGETHER = frozenset(
    {
        "runtara",
        "runtara-agents-csv-xml",
        "runtara-agents-http",
        "runtara-agents-sftp",
        "runtara-agents-transform",
        "runtara-compiler",
        "runtara-core",
        "runtara-environment",
        "runtara-sdk",
        "runtara-workflow-stdlib",
    }
)
"""The distributions of this project. They have one version, at which they fit each other."""


def is_released_together(distribution: str, version: str) -> bool:
    """Whether a distribution is one of this project, at the version of the SDK that is running."""
    if normalised_name(distribution) not in RELEASED_TOGETHER:
        return False
    return installed_version("runtara-sdk") in (version, "unknown")  # a binary holds no metadata of the SDK


def incompatibility(distribution: str) -> str | None:
    """Why a distribution does not fit the installed Runtara: what it requires and what there is; None when it fits."""
    # The library takes longer to import than a command may take to start, and few plugins are strangers.
    from packaging.requirements import InvalidRequirement, Requirement

    for text in installed_requirements(distribution):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # of something else, most likely: installers refuse it
        host = normalised_name(requirement.name)
        if host not in RELEASED_TOGETHER or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        version = installed_version(host)
        if version != "unknown" and not requirement.specifier.contains(version, prereleases=True):
            return (
                f"it requires {host}{requirement.specifier}, but {host} {version} is installed: "
                f"install a version of {distribution} that supports it"
            )
    return None
