"""Single files: `compress` and `decompress`."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileData,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, OpenFile, open_file
from runtara_sdk.agents.workspace import copy_stream

from runtara_agents_csv_xml.archive_format.compressed import Compression, compression_of, decompressed
from runtara_agents_csv_xml.archive_format.entries import (
    DECODE_ERROR,
    FREE_BYTES,
    OPTION_INVALID,
    PIECE_BYTES,
    TOO_LARGE,
    UNSUPPORTED_FORMAT,
    undecodable,
)
from runtara_agents_csv_xml.archive_format.packing import compressor, packed
from runtara_agents_csv_xml.archive_format.results import MOST_DATA_BYTES, Output, data, held, stored, target_of
from runtara_agents_csv_xml.sources import INPUT_MISSING

_ENDINGS: dict[Compression, str] = {"gzip": "gz", "bzip2": "bz2", "xz": "xz"}
_MEDIA_TYPES: dict[Compression, str] = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
_OPTION_ERROR = KnownError.permanent(OPTION_INVALID, "Two options do not go together.")


class CompressInput(BaseModel):
    """One file."""

    data: FileInput = Field(default=None, title="Data", description="The file; or give `text`.")
    text: str | None = Field(default=None, description="A text, in place of `data`.", examples=["hi\n"])
    format: Compression = Field(default="gzip", description="How it is compressed.")
    compression_level: int = Field(default=6, ge=0, description="9 compresses most; more count as 9, and as 6 for xz.")
    output: Output | None = Field(
        default=None,
        description="`data`: {content, filename, mimeType} with base64. `file`: a file of the workspace at `path`, "
        "which is what a `path` alone means.",
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["out/orders.csv.gz"])


@capability(
    id="compress",
    aliases=("gzip",),
    display_name="Compress",
    description="Compresses one file by gzip, bzip2 or xz; the same content gives the same bytes.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(INPUT_MISSING, "Neither or both of `data` and `text` are given.", "inputs"),
        KnownError.permanent(TOO_LARGE, "The result is too large for the data of a workflow.", "limit"),
        _OPTION_ERROR,
    ),
    examples=[Example({"text": "hi\n"})],
)
def compress(inputs: CompressInput, context: CapabilityContext) -> FileData | FileReference:
    """The compressed file, or where it lies."""
    with _source(inputs, context) as file:

        def work(target: BinaryIO) -> None:
            with compressor(target, inputs.format, inputs.compression_level) as sink:
                copy_stream(file.stream, sink.write, context.check)

        name = f"{posixpath.basename(file.filename)}.{_ENDINGS[inputs.format]}" if file.filename else None
        return packed(
            work,
            context,
            target=target_of(inputs.output, inputs.path, "path"),
            filename=name,
            media_type=_MEDIA_TYPES[inputs.format],
        )


def _source(inputs: CompressInput, context: CapabilityContext) -> OpenFile:
    if (inputs.data is None) == (inputs.text is None):
        raise AgentError.permanent(
            INPUT_MISSING, "give either `data` (a file) or `text`", attributes={"inputs": "data, text"}
        )
    if inputs.text is None:
        return open_file(inputs.data, context)
    content = inputs.text.encode("utf-8", "surrogatepass")
    return OpenFile(io.BytesIO(content), len(content))


class DecompressInput(BaseModel):
    """One compressed file."""

    data: FileInput = Field(title="Data", description="The file.")
    format: Compression | None = Field(default=None, description="How it is compressed; found out when left out.")
    output: Output | None = Field(
        default=None,
        description="`data`: {content, filename, mimeType} with base64. `file`: a file of the workspace at `save_to`, "
        "which is what a `save_to` alone means.",
    )
    save_to: str | None = Field(
        default=None, validation_alias=AliasChoices("save_to", "path"), description="Where `output` `file` goes."
    )
    max_bytes: int = Field(default=4 * 1024**3, ge=1, le=2**40, description="More is an error.")
    max_ratio: int = Field(
        default=1100,
        ge=1,
        le=100_000,
        description="Bytes that one byte may become, beyond the first MiB; no honest gzip has more than 1032.",
    )


@capability(
    id="decompress",
    aliases=("gunzip",),
    display_name="Decompress",
    description="Unpacks one file that was compressed by gzip, bzip2 or xz.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(DECODE_ERROR, "It is not of the format, or damaged."),
        KnownError.permanent(UNSUPPORTED_FORMAT, "The format cannot be told."),
        KnownError.permanent(TOO_LARGE, "It becomes larger than may be.", "limit"),
        _OPTION_ERROR,
    ),
    examples=[
        Example(
            {"data": "H4sIAAAAAAAC/8vI5AIAenpv7QMAAAA=", "format": "gzip"},
            output={"content": "aGkK", "filename": None, "mimeType": None},
        )
    ],
)
def decompress(inputs: DecompressInput, context: CapabilityContext) -> FileData | FileReference:
    """The content, or where it lies."""
    target = target_of(inputs.output, inputs.save_to, "save_to")
    with open_file(inputs.data, context) as file:
        kind = inputs.format or compression_of(file.stream)
        if kind is None:
            raise AgentError.permanent(UNSUPPORTED_FORMAT, "it is neither gzip nor bzip2 nor xz")
        limit = min(inputs.max_bytes, FREE_BYTES + file.size * inputs.max_ratio)
        pieces = _pieces(decompressed(file.stream, kind), kind, limit, context)
        if target is not None:
            return stored(pieces, target, context)
        content = held(pieces, MOST_DATA_BYTES)
    name = file.filename.rpartition(".")[0] if file.filename and "." in file.filename else None
    return data(content, name) if name else FileData.of(content)


def _pieces(stream: Any, kind: Compression, limit: int, context: CapabilityContext) -> Iterator[bytes]:
    size = 0
    while True:
        with undecodable(kind):
            piece = stream.read(PIECE_BYTES)
        if not piece:
            return
        size += len(piece)
        if size > limit:
            raise AgentError.permanent(
                TOO_LARGE,
                f"it becomes more than {limit} bytes: raise max_bytes or max_ratio if that is meant",
                attributes={"limit": limit},
            )
        yield piece
        context.check()
