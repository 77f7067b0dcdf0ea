"""Artifacts: the executable files that images are made of, read without the compiler.

`inspect_artifact` says what a file is; `unpack_native_artifact` turns a native artifact into directories that can be
started directly. Writing is the business of the build targets.
"""

from runtara_sdk.artifact.inspection import ArtifactInfo, inspect_artifact
from runtara_sdk.artifact.native_format import (
    ARCHIVE_MANIFEST_NAME,
    Layer,
    LayerRole,
    NativeIndex,
)
from runtara_sdk.artifact.unpacking import NativeLayout, unpack_native_artifact

__all__ = [
    "ARCHIVE_MANIFEST_NAME",
    "ArtifactInfo",
    "Layer",
    "LayerRole",
    "NativeIndex",
    "NativeLayout",
    "inspect_artifact",
    "unpack_native_artifact",
]
