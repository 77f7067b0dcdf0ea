"""Scenario compiler of Runtara: JSON scenario to readable Python to one executable file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    # Loaded when used: whoever only asks for an unchanged scenario does not pay for the compiler.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from runtara_compiler import compilation

    return getattr(compilation, name)
