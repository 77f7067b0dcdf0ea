"""What the README of the SFTP agent says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runtara_agents_sftp import sftp_agent
from runtara_agents_sftp.listing import FileEntry, FileStatus
from runtara_agents_sftp.models import BatchOutput, DownloadedFile, FileResult, WaitOutput
from runtara_agents_sftp.parameters import CONNECTION_TYPE

from .sftp_server import SftpServer

README = Path(__file__).parents[3] / "packages/runtara-agents-sftp/README.md"


async def test_the_readme_example_runs(sftp_server: SftpServer, files: Path) -> None:
    [block] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block, str(README), "exec"), names)
    assert await names["main"](sftp_server.connection(root_path=str(files))) == "Hello\n"
    assert (files / "out" / "hello.txt").read_text() == "Hello\n"


def test_the_readme_names_every_capability_input_error_and_parameter() -> None:
    text = README.read_text()
    names = {field.name for field in CONNECTION_TYPE.fields}
    for capability in sftp_agent.capabilities:
        names |= {capability.id} | {field.name for field in capability.fields if not field.hidden}
        names |= {error.code for error in capability.known_errors if error.code.startswith("SFTP_")}
    for model in (FileEntry, FileStatus, BatchOutput, DownloadedFile, FileResult, WaitOutput):
        names |= set(model.model_fields)
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()
