"""The `native` build target: a workflow compiled to C, over a base runtime that is built once.

How it works is told in `runtara_compiler.native`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from runtara_sdk.errors import ConfigurationError

from runtara_compiler.hookspecs import hookimpl
from runtara_compiler.targets import BuildRequest, BuildTarget

# The rest of the native build is imported when it is used: listing the targets must stay quick.
if TYPE_CHECKING:
    from runtara_compiler.native.base import BasePlan
    from runtara_compiler.native.library import NativeLibrary

ARTIFACT_NAME = "workflow"


class NativeTarget(BuildTarget):
    """Builds one executable file that carries the compiled workflow and the base runtime."""

    def __init__(self, library: NativeLibrary | None = None) -> None:
        self._library = library

    @property
    def name(self) -> str:
        return "native"

    def fingerprint(self) -> str:
        from runtara_compiler.native.base import plan_base

        return f"native-1:{plan_base().key}"

    def missing(self) -> str | None:
        """Nuitka, a C compiler with Python's headers, or patchelf."""
        from runtara_compiler.native.toolchain import find_c_compiler, find_patchelf, nuitka_version

        try:
            nuitka_version()
            find_c_compiler()
            find_patchelf()
        except ConfigurationError as error:
            return error.message
        return None

    async def build(self, request: BuildRequest) -> Path:
        from runtara_compiler.bill_of_materials import Material, bill_of_materials
        from runtara_compiler.native.artifact import write_artifact
        from runtara_compiler.native.base import ensure_base, plan_base
        from runtara_compiler.native.library import NativeLibrary
        from runtara_compiler.native.module import WorkflowModule, build_workflow_layer
        from runtara_compiler.native.toolchain import prepare_toolchain

        library = self._library or NativeLibrary.from_environment(request.data_dir)
        plan = await asyncio.to_thread(plan_base)
        _require_agents(request, plan)
        toolchain = await prepare_toolchain(library)
        base = await ensure_base(library, plan, request.progress)
        request.progress("compiling the workflow")
        manifest = {**request.manifest, "native": {"base": f"sha256:{base.layer.digest}"}}
        materials = [Material(item.name, item.version, item.digest) for item in plan.closure]
        bill = bill_of_materials(manifest, materials)
        module = WorkflowModule(request.module_name, request.module_source, manifest, bill)
        module_dir = request.work_dir / "native"
        module_dir.mkdir()
        workflow = await build_workflow_layer(library, toolchain, module, module_dir)
        return await asyncio.to_thread(
            write_artifact, request.work_dir / ARTIFACT_NAME, manifest, workflow=workflow, base=base.layer
        )


def _require_agents(request: BuildRequest, plan: BasePlan) -> None:
    from runtara_sdk.entry_points import normalised_name

    included = {item.name for item in plan.closure}
    for agent in request.agents:
        if agent.distribution is None or normalised_name(agent.distribution) not in included:
            raise ConfigurationError(
                f"the agent {agent.agent_id} ({agent.module}) is of no installed agent plugin, so the native base "
                "runtime does not have it: install its distribution or build for the target python"
            )


@hookimpl
def runtara_build_targets() -> Iterable[BuildTarget]:
    """The native target."""
    return (NativeTarget(),)
