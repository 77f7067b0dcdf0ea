"""The examples of the SFTP agent on a real server: what they give, repeated, cut short, and with secrets."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from runtara_agents_sftp import sftp_agent
from runtara_sdk.agents import Capability, Example
from runtara_sdk.testing.agents import AgentCallSuite, ProvidedCall

from .sftp_server import SftpServer

FILES = ("in/orders.csv", "in/orders-1.csv", "work/old/a.txt", "out/.keep", "done/.keep")


class TestSftpAgentOnAServer(AgentCallSuite):
    agent = sftp_agent
    server: SftpServer

    @pytest.fixture(autouse=True)
    def _use(self, sftp_server: SftpServer) -> None:
        self.server = sftp_server

    @contextmanager
    def provided(self, capability: Capability, example: Example) -> Iterator[ProvidedCall]:
        assert example.needs == "an SFTP server"
        with tempfile.TemporaryDirectory(dir=self.server.files) as directory:
            root = Path(directory)
            for name in FILES:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("id\n1\n")
            connection = self.server.connection(root_path=directory)
            inputs = {**example.inputs, "_connection": connection}
            if capability.id == "sftp-wait-for-file":
                inputs |= {"stable_ms": 100, "interval_ms": 100}  # by default it takes seconds
            yield ProvidedCall(inputs, effects=lambda: tree(root))


def tree(root: Path) -> dict[str, str]:
    """What lies on the server: directories, and files by their content."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in root.rglob("*")
    }
