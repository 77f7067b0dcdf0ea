"""Generation of the Python module of a workflow."""

from runtara_compiler.codegen.module import GeneratedModule, ModuleIdentity, generate_module

__all__ = ["GeneratedModule", "ModuleIdentity", "generate_module"]
