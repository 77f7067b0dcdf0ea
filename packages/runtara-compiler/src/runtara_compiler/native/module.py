"""A generated module as one extension, packed as the workflow layer of an artifact."""

from __future__ import annotations

import asyncio
import re
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.artifact import ARCHIVE_MANIFEST_NAME
from runtara_sdk.artifact_names import BILL_OF_MATERIALS_NAME
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.written_decimal import dump_json

from runtara_compiler.native.layers import LayerFile, write_layer
from runtara_compiler.native.library import NativeBuildError, NativeLibrary, translated_disk_errors
from runtara_compiler.native.process import run_tool
from runtara_compiler.native.toolchain import Toolchain

MODULE_DEADLINE_SECONDS = 600.0

_OPTIONS = (
    "--mode=module",
    "--nofollow-imports",
    "--lto=no",
    "--no-pyi-file",
    "--disable-cache=ccache",
    "--assume-yes-for-downloads",
)
_C_FLAGS = "-O0"
"""A generated module is tables that are built once and one call a step: optimizing it takes time and gains none."""
_MODULE_NAME = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]*\Z")
_COMPRESSION_LEVEL = 9


@dataclass(frozen=True, slots=True)
class WorkflowModule:
    """What to compile: a module's name, its source, and the manifest and bill of materials to lay beside it."""

    name: str
    source: str
    manifest: dict[str, Any]
    bill_of_materials: str = ""


async def build_workflow_layer(
    library: NativeLibrary, toolchain: Toolchain, module: WorkflowModule, work_dir: Path
) -> LayerFile:
    """Compile the module and pack it with its manifest; `work_dir` is an empty directory.

    Raises `NativeBuildError` when Nuitka or the C compiler fails.
    """
    extension = await _compile(library, toolchain, module, work_dir)
    with translated_disk_errors(work_dir):
        content = work_dir / "layer"
        content.mkdir()
        shutil.move(extension, content / extension.name)
        native = {"module": module.name, "extension": extension.name}
        document = {**module.manifest, "native": {**module.manifest.get("native", {}), **native}}
        (content / ARCHIVE_MANIFEST_NAME).write_text(dump_json(document, indent=2) + "\n", encoding="utf-8")
        (content / BILL_OF_MATERIALS_NAME).write_text(module.bill_of_materials, encoding="utf-8")
        return await asyncio.to_thread(write_layer, content, work_dir / "workflow.tar.gz", level=_COMPRESSION_LEVEL)


async def _compile(library: NativeLibrary, toolchain: Toolchain, module: WorkflowModule, work_dir: Path) -> Path:
    if not _MODULE_NAME.match(module.name):
        raise InvalidInputError(f"{module.name!r} cannot be the name of a native module: use one identifier")
    with translated_disk_errors(work_dir):
        (work_dir / f"{module.name}.py").write_text(module.source, encoding="utf-8")
    log = work_dir / "nuitka.log"
    try:
        await run_tool(
            [str(toolchain.python), "-m", "nuitka", *_OPTIONS, "--output-dir=out", f"{module.name}.py"],
            what="Nuitka's build of the workflow",
            directory=work_dir,
            variables=toolchain.variables(module_flags=_C_FLAGS),
            log=log,
            deadline_seconds=MODULE_DEADLINE_SECONDS,
        )
    except NativeBuildError as error:
        kept = library.keep_log(log, f"workflow-{module.name[:40]}")
        raise NativeBuildError(f"{error.message} (log: {kept})") from None
    extension = work_dir / "out" / f"{module.name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not extension.is_file():
        raise NativeBuildError(f"Nuitka built no {extension.name}: report this with the log of --target native")
    return extension
