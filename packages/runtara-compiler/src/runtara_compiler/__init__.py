"""Scenario compiler of Runtara: JSON scenario to readable Python to one executable file."""

from runtara_compiler.compilation import (
    ChildDependency,
    CompilationInput,
    CompilationResult,
    compile_scenario,
    generate_source,
)

__all__ = [
    "ChildDependency",
    "CompilationInput",
    "CompilationResult",
    "compile_scenario",
    "generate_source",
]
