"""`runtara new`: projects to begin with. `agent-cookiecutter` beside this module is the template of agents."""

from __future__ import annotations

from pathlib import Path


def agent_template_directory() -> Path:
    """The template of `runtara new agent`, in the layout of cookiecutter."""
    return Path(__file__).with_name("agent-cookiecutter")
