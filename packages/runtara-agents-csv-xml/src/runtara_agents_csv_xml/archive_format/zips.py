"""Entries of zip archives."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO, cast

from runtara_agents_csv_xml.archive_format.entries import (
    ENCRYPTED,
    READ_ERROR,
    UNSAFE_PATH,
    UNSUPPORTED_FORMAT,
    Entry,
    relative_path,
    too_large,
)

_END = b"PK\x05\x06"
_END_BYTES = 22
_LONGEST_COMMENT = 65_535
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"
_LOCATOR64_BYTES = 20
_LISTED_BYTES = 512
"""What an entry takes of the directory, at most on average."""

_LOCAL_BYTES = 30
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_UTF8 = 0x800
_UNICODE_PATH = 0x7075


def has_directory(stream: BinaryIO) -> bool:
    """Whether a zip archive ends the stream."""
    return _end(stream) is not None


def open_zip(stream: BinaryIO, max_entries: int) -> zipfile.ZipFile:
    """Open an archive, whose directory is not read when it is too large; raises `zipfile.BadZipFile`, too."""
    end = _end(stream)
    if end is not None:
        entries, size = end
        if entries > max_entries or size > max(1024 * 1024, max_entries * _LISTED_BYTES):
            raise too_large("entries", max_entries, "max_entries")
    stream.seek(0)
    return zipfile.ZipFile(stream)


def zip_entries(zip_file: zipfile.ZipFile, name_encoding: str | None) -> Iterator[Entry]:
    """The entries, in the order of the directory."""
    items = zip_file.infolist()
    overlapping = _overlapping(items)
    for item in items:
        path, problem = relative_path(_name(item, name_encoding).replace("\\", "/"))
        code = UNSAFE_PATH
        is_directory = item.orig_filename.endswith(("/", "\\"))
        mode = stat.S_IFMT(item.external_attr >> 16)
        if not path and not is_directory:
            problem = problem or "has no name"
        if item.flag_bits & 0x1:
            code, problem = ENCRYPTED, "is encrypted"
        elif item.compress_type not in _METHODS:
            code, problem = UNSUPPORTED_FORMAT, f"is compressed by method {item.compress_type}, which cannot be read"
        elif mode and mode not in (stat.S_IFREG, stat.S_IFDIR):
            problem = "is a link or a device"
        elif item.header_offset in overlapping:
            code, problem = READ_ERROR, "shares its bytes with another one, as those of bombs do"

        def opened(item: zipfile.ZipInfo = item) -> BinaryIO:
            return cast("BinaryIO", zip_file.open(item))

        yield Entry(path, item.file_size, item.compress_size, is_directory, problem, code, opened)


def _end(stream: BinaryIO) -> tuple[int, int] | None:
    """Number of entries and bytes of the directory, as the archive says."""
    size = stream.seek(0, 2)
    start = stream.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _LOCATOR64_BYTES))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        return None
    entries, directory_bytes = struct.unpack("<HL", tail[at + 10 : at + 16])
    locator = tail[max(0, at - _LOCATOR64_BYTES) : at]
    if locator.startswith(_LOCATOR64):
        (where,) = struct.unpack("<Q", locator[8:16])
        # Something may stand before the archive, so the record is looked for where it must end, too.
        for place in (where, start + at - _LOCATOR64_BYTES - 56):
            if 0 <= place < size:
                stream.seek(place)
                record = stream.read(56)
                if record.startswith(_END64) and len(record) == 56:
                    entries, directory_bytes = struct.unpack("<QQ", record[32:48])
                    break
    return entries, directory_bytes


def _overlapping(items: list[zipfile.ZipInfo]) -> set[int]:
    """Where entries begin that reach into the one after them."""
    ordered = sorted(items, key=lambda item: item.header_offset)
    return {
        item.header_offset
        for item, following in pairwise(ordered)
        if item.header_offset + _LOCAL_BYTES + item.compress_size > following.header_offset
    }


def _name(item: zipfile.ZipInfo, name_encoding: str | None) -> str:
    if item.flag_bits & _UTF8:
        return item.orig_filename
    raw = item.orig_filename.encode("cp437")
    unicode_path = _unicode_path(item.extra, raw)
    if unicode_path is not None:
        return unicode_path
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(name_encoding or "cp437", "replace")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name that Info-ZIP stores beside one of another encoding."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return field[5:].decode(errors="replace")
    return None
