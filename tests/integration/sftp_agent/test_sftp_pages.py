"""The steps of the pages of the SFTP agent, against OpenSSH's server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from worked_examples import run_steps

from tests.capability_page import shown_examples

from .sftp_server import SftpServer

FILES = {"in/orders.csv": "sku,qty\nA1,2\n", "in/orders-1.csv": "sku,qty\nB2,30\n", "work/old/a.csv": "sku\n"}
MODIFIED = 1_795_770_000
VARYING = frozenset({"owner_id", "group_id", "accessed_time"})


@pytest.fixture
def root(files: Path) -> Path:
    """What lies on the server before each step."""
    for name, text in FILES.items():
        path = files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        os.utime(path, (MODIFIED, MODIFIED))
    for name in ("out", "done"):
        (files / name).mkdir()
    return files


CAPABILITIES = [
    "sftp-list-files",
    "sftp-download-file",
    "sftp-upload-file",
    "sftp-delete-file",
    "sftp-get-info",
    "sftp-move-file",
    "sftp-create-directory",
    "sftp-delete-directory",
    "sftp-download-files",
    "sftp-upload-files",
    "sftp-wait-for-file",
]


@pytest.mark.parametrize("capability", CAPABILITIES)
async def test_the_steps_of_the_pages(
    capability: str, sftp_server: SftpServer, root: Path, capability_pages: dict[str, str]
) -> None:
    examples = list(shown_examples(capability_pages[f"agents/sftp/{capability}.md"]))
    connections = {"my-sftp": sftp_server.connection(root_path=str(root))}
    outputs = await run_steps([example.worked for example in examples], connections)
    for example, output in zip(examples, outputs, strict=True):
        assert example.agrees(output, varying=VARYING), f"shown is {example.output!r}, given {output!r}"


def test_all_pages_are_among_them(capability_pages: dict[str, str]) -> None:
    shown = {Path(path).stem for path in capability_pages if path.startswith("agents/sftp/")}
    assert shown - {"index"} == set(CAPABILITIES)
