"""The `python` target: a zip archive that the interpreter runs, built in milliseconds.

It holds the generated module and the manifest. The interpreter that compiled it runs it, with the SDK and the agents
installed there. Two builds of the same request give the same bytes.
"""

from __future__ import annotations

import asyncio
import io
import platform
import shlex
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from runtara_sdk.artifact import ARCHIVE_MANIFEST_NAME
from runtara_sdk.artifact_names import BILL_OF_MATERIALS_NAME
from runtara_sdk.written_decimal import dump_json

from runtara_compiler.hookspecs import hookimpl
from runtara_compiler.targets import BuildRequest, BuildTarget

_LONGEST_INTERPRETER_LINE = 120  # the kernel cuts longer ones off
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold

_MAIN = """\
import gc

gc.disable()  # until everything is imported

from runtara_sdk.workflow.program import main, prepare

prepare()

from {module} import workflow
from runtara_sdk.written_decimal import dump_json

main(workflow)
"""


class PythonTarget(BuildTarget):
    """Builds executable zip archives for one interpreter."""

    def __init__(self, interpreter: str = sys.executable) -> None:
        self._interpreter = interpreter

    @property
    def name(self) -> str:
        return "python"

    def fingerprint(self) -> str:
        return f"python {platform.python_version()} at {self._interpreter}"

    async def build(self, request: BuildRequest) -> Path:
        path = request.work_dir / "scenario"
        request.progress(f"packing {request.module_name} for {self._interpreter}")
        await asyncio.to_thread(self._write, path, request)
        return path

    def _write(self, path: Path, request: BuildRequest) -> None:
        from runtara_compiler.bill_of_materials import bill_of_materials  # listing the targets must stay quick

        manifest = dump_json(request.manifest, ensure_ascii=False, indent=2)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
            for name, text in (
                ("__main__.py", _MAIN.format(module=request.module_name)),
                (f"{request.module_name}.py", request.module_source),
                (ARCHIVE_MANIFEST_NAME, manifest + "\n"),
                (BILL_OF_MATERIALS_NAME, bill_of_materials(request.manifest)),
            ):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                file.writestr(entry, text)
        path.write_bytes(_interpreter_lines(self._interpreter) + archive.getvalue())
        path.chmod(0o755)


def _interpreter_lines(interpreter: str) -> bytes:
    line = f"#!{interpreter}\n"
    if len(line) <= _LONGEST_INTERPRETER_LINE and not any(map(str.isspace, interpreter)):
        return line.encode()
    return f'#!/bin/sh\nexec {shlex.quote(interpreter)} "$0" "$@"\n'.encode()


@hookimpl
def runtara_build_targets() -> Iterable[BuildTarget]:
    """The `python` target."""
    return [PythonTarget()]
