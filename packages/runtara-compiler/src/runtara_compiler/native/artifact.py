"""Writing a native artifact: shell script, index, workflow layer, base layer.

The format is that of `runtara_sdk.artifact.native_format`.
A script rather than a small C program: it needs no compiler where it runs, can be read, starts in about a millisecond
once the layers are unpacked, and uses only what every Linux system has: sh, tail, head, gzip, tar, sha256sum.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runtara_sdk.artifact.native_format import (
    BASE_EXECUTABLE,
    HEADER_BYTES,
    MAXIMUM_INDEX_BYTES,
    Layer,
    LayerRole,
    NativeIndex,
    magic_line,
)
from runtara_sdk.errors import InvalidInputError

from runtara_compiler.native.layers import LayerFile, copy_verified
from runtara_compiler.native.library import NativeBuildError, translated_disk_errors

EXIT_UNUSABLE = 126

_SCRIPT = """\
#!/bin/sh
{magic}
# A Runtara workflow as one program: this script, an index in JSON, then the layers as gzip-compressed tar files.
# Each layer is verified and unpacked once, into a directory named by its SHA-256, and started from there.
# RUNTARA_NATIVE_CACHE_DIR says where; removing that directory is always safe while no workflow starts.
set -u
self=$0
workflow={workflow_digest}
base={base_digest}

fail() {{
    printf 'error: %s\\n' "$1" >&2
    exit {exit_unusable}
}}

if [ -n "${{RUNTARA_NATIVE_CACHE_DIR:-}}" ]; then
    cache=$RUNTARA_NATIVE_CACHE_DIR
elif [ -n "${{RUNTARA_NATIVE_LIBRARY_DIR:-}}" ]; then
    cache=$RUNTARA_NATIVE_LIBRARY_DIR/layers
elif [ -n "${{XDG_CACHE_HOME:-}}" ]; then
    cache=$XDG_CACHE_HOME/runtara/layers
elif [ -n "${{HOME:-}}" ]; then
    cache=$HOME/.cache/runtara/layers
else
    fail 'no place to unpack to: set RUNTARA_NATIVE_CACHE_DIR to a directory that can be written'
fi

# layer OFFSET SIZE: its bytes
layer() {{
    tail -c "+$(($1 + 1))" "$self" 2>/dev/null | head -c "$2"
}}

# unpack DIGEST OFFSET SIZE: a directory of this name is always complete, because it appears by one rename
unpack() {{
    place=$cache/sha256-$1
    if [ -d "$place" ]; then return; fi
    for tool in tail head gzip tar sha256sum mktemp; do
        command -v "$tool" >/dev/null || fail "unpacking $self needs the program $tool: install it"
    done
    mkdir -p "$cache" || fail "cannot write to $cache: set RUNTARA_NATIVE_CACHE_DIR to a directory that can be written"
    found=$(layer "$2" "$3" | sha256sum)
    [ "${{found%% *}}" = "$1" ] || fail "$self is damaged: a layer does not have its SHA-256; copy or compile it again"
    unfinished=$(mktemp -d "$cache/.unpacking-XXXXXX") || fail "cannot write to $cache: is the disk full?"
    trap 'rm -rf "$unfinished"' EXIT
    trap 'exit 143' HUP INT TERM
    layer "$2" "$3" | gzip -dc | tar -xf - -C "$unfinished" || fail "cannot unpack $self into $cache: is the disk full?"
    chmod 755 "$unfinished"
    # When another process was faster, mv puts this copy inside of the finished directory: take it out again.
    [ -d "$place" ] || mv "$unfinished" "$place" 2>/dev/null
    [ -d "$place" ] || fail "cannot write to $cache: set RUNTARA_NATIVE_CACHE_DIR to a directory that can be written"
    rm -rf "$place/${{unfinished##*/}}" "$unfinished"
    trap - EXIT HUP INT TERM
}}

unpack "$base" {base_offset} {base_size}
unpack "$workflow" {workflow_offset} {workflow_size}
exec "$cache/sha256-$base/{executable}" "$cache/sha256-$workflow" "$@"
exit {exit_unusable}
"""


def write_artifact(target: Path, manifest: dict[str, Any], *, workflow: LayerFile, base: LayerFile) -> Path:
    """Write the executable file `target`.

    Raises `InvalidInputError` when the manifest is too large, `NativeBuildError` when a layer changed on the disk.
    """
    index, index_bytes = _place_layers(manifest, workflow, base)
    with translated_disk_errors(target.parent), target.open("wb") as output:
        output.write(_script(index, index_bytes))
        output.write(index.encode().ljust(index_bytes, b"\n"))
        for layer_file in (workflow, base):
            if not copy_verified(layer_file.path, output, layer_file.digest):
                raise NativeBuildError(f"{layer_file.path} does not have its SHA-256 any more: compile again")
        os.fchmod(output.fileno(), 0o755)
    return target


def _place_layers(manifest: dict[str, Any], workflow: LayerFile, base: LayerFile) -> tuple[NativeIndex, int]:
    # The offsets stand in the index and depend on its length; their width settles after a step or two.
    index_bytes = 0
    while True:
        start = HEADER_BYTES + index_bytes
        layers = (
            Layer(LayerRole.WORKFLOW, workflow.digest, start, workflow.size),
            Layer(LayerRole.BASE, base.digest, start + workflow.size, base.size),
        )
        index = NativeIndex(manifest=manifest, layers=layers)
        length = len(index.encode())
        if length > MAXIMUM_INDEX_BYTES:
            raise InvalidInputError(
                f"the manifest makes an index of {length} bytes, at most {MAXIMUM_INDEX_BYTES} are allowed: "
                "shorten the scenario's description"
            )
        if length <= index_bytes:
            return index, index_bytes
        index_bytes = length


def _script(index: NativeIndex, index_bytes: int) -> bytes:
    workflow = index.layer(LayerRole.WORKFLOW)
    base = index.layer(LayerRole.BASE)
    text = _SCRIPT.format(
        magic=magic_line(index_bytes),
        workflow_digest=workflow.digest,
        workflow_offset=workflow.offset,
        workflow_size=workflow.size,
        base_digest=base.digest,
        base_offset=base.offset,
        base_size=base.size,
        executable=BASE_EXECUTABLE,
        exit_unusable=EXIT_UNUSABLE,
    )
    script = text.encode()
    if len(script) > HEADER_BYTES:
        raise NativeBuildError(f"the artifact's script has {len(script)} bytes, more than its {HEADER_BYTES}")
    return script.ljust(HEADER_BYTES, b"\n")
