"""The agent `file`: files of the instance's workspace."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition
from runtara_sdk.file_agent.changing import (
    append_file,
    copy_file,
    create_directory,
    delete_file,
    move_file,
    write_file,
)
from runtara_sdk.file_agent.looking import file_exists, get_file_info, list_files, read_file

__all__ = ["file_agent", "runtara_agents"]

file_agent = AgentDefinition(
    id="file",
    name="File",
    description="Files of the instance's workspace, which outlives the processes of the instance.",
    category="file_storage",
    capabilities=[
        write_file,
        read_file,
        list_files,
        delete_file,
        file_exists,
        copy_file,
        move_file,
        create_directory,
        get_file_info,
        append_file,
    ],
)


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin."""
    return [file_agent]
