"""Opening archives of any format."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator

from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import open_file

from runtara_agents_csv_xml.archive_format.compressed import COMPRESSIONS, decompressed, format_of
from runtara_agents_csv_xml.archive_format.entries import OPTION_INVALID, Archive, ArchiveInput, undecodable
from runtara_agents_csv_xml.archive_format.tars import BoundedStream, open_tar, tar_entries
from runtara_agents_csv_xml.archive_format.zips import open_zip, zip_entries


@contextlib.contextmanager
def open_archive(inputs: ArchiveInput, context: CapabilityContext) -> Iterator[Archive]:
    """Open the archive of an input; raises `AgentError` when it is none."""
    _check_encoding(inputs.name_encoding)
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open_file(inputs.archive, context))
        stream, size = file.stream, file.size
        found = inputs.format or format_of(stream)
        with undecodable(f"{found} archive"):
            stream.seek(0)
            if found == "zip":
                zip_file = opened.enter_context(open_zip(stream, inputs.max_entries))
                entries = zip_entries(zip_file, inputs.name_encoding)
            else:
                raw = stream if found == "tar" else decompressed(stream, COMPRESSIONS[found])
                tar_file = opened.enter_context(open_tar(BoundedStream(raw, size, inputs.max_ratio)))
                entries = tar_entries(tar_file, inputs.name_encoding)
        yield Archive(inputs, found, size, entries, is_listed=found == "zip")


def _check_encoding(name: str | None) -> None:
    if name is None:
        return
    try:
        known = codecs.lookup(name)._is_text_encoding  # noqa: SLF001 - others are such as base64
    except (LookupError, ValueError):
        known = False
    if not known:
        raise AgentError.permanent(OPTION_INVALID, f"name_encoding {name[:40]!r} is unknown: use cp932, cp1252, ...")
