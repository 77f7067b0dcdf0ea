"""The variables of a process that lists or calls agents: what it needs, and no secret of the daemon."""

from __future__ import annotations

import os
import site
from collections.abc import Iterable, Mapping
from pathlib import Path

from runtara_sdk.agent_process.messages import AGENT_GROUP
from runtara_sdk.guarded_call import VARIABLE as LOAD_SECONDS_VARIABLE
from runtara_sdk.plugins import BUNDLE_VARIABLE

from runtara_environment.program_variables import LIMIT_VARIABLES
from runtara_environment.supervision.guest import program_path

_FINDING_MODULES = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
_DISABLED_VARIABLE = "RUNTARA_DISABLE_PLUGINS"
_CHOOSING_AGENTS = (BUNDLE_VARIABLE, "RUNTARA_PLUGINS", _DISABLED_VARIABLE)
_LOAD_SECONDS = "10"
"""A listing waits less for each plugin than a build does, as somebody waits for its answer."""


def process_environment(directory: Path, network: Mapping[str, str], left_out: Iterable[str] = ()) -> dict[str, str]:
    """All variables of a process.

    Args:
        directory: where its files lie.
        network: variables that say what it may reach.
        left_out: names of plugins with agents that are not to be loaded.
    """
    passed_on = (*_FINDING_MODULES, *_CHOOSING_AGENTS, *LIMIT_VARIABLES)
    variables = {name: os.environ[name] for name in passed_on if os.environ.get(name)}
    disabled = [variables.get(_DISABLED_VARIABLE, ""), *(f"{AGENT_GROUP}:{name}" for name in left_out)]
    if any(disabled):
        variables[_DISABLED_VARIABLE] = ",".join(filter(None, disabled))
    if site.ENABLE_USER_SITE:  # distributions of `pip install --user` lie below the daemon's own HOME
        variables["PYTHONUSERBASE"] = site.getuserbase()
    return {
        **variables,
        **network,
        LOAD_SECONDS_VARIABLE: os.environ.get(LOAD_SECONDS_VARIABLE) or _LOAD_SECONDS,
        "PATH": program_path(),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "RUNTARA_WORKSPACE_DIR": str(directory / "workspace"),
    }
