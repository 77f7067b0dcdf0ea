"""The agent and its eleven capabilities."""

from __future__ import annotations

import asyncio
import base64
import posixpath
from collections.abc import Callable
from typing import Any, TypeVar

from runtara_sdk.agents import (
    AgentDefinition,
    CapabilityContext,
    EffectClass,
    Example,
    FileData,
    FileReference,
    KnownError,
    agent,
    capability,
)
from runtara_sdk.agents.files import WORKSPACE_ERRORS

from runtara_agents_sftp import failures
from runtara_agents_sftp.batches import download_matching, upload_matching
from runtara_agents_sftp.content import opened_content, text_of
from runtara_agents_sftp.failures import failed
from runtara_agents_sftp.known_errors import COMMON, FILES, READ, TOO_MANY_ERROR, WRITE
from runtara_agents_sftp.listing import (
    FileEntry,
    FileStatus,
    entries,
    matching,
    status_of,
)
from runtara_agents_sftp.models import (
    DEFAULT_READ_BYTES,
    MAXIMUM_READ_BYTES,
    BatchOutput,
    ConnectedInput,
    CreateDirectoryInput,
    DeletedDirectory,
    DeletedFile,
    DeleteDirectoryInput,
    DeleteInput,
    DownloadedFile,
    DownloadFilesInput,
    DownloadInput,
    ListInput,
    MadeDirectory,
    MovedFile,
    MoveInput,
    PathInput,
    UploadedFile,
    UploadFilesInput,
    UploadInput,
    WaitInput,
    WaitOutput,
)
from runtara_agents_sftp.parameters import CONNECTION_TYPE, parameters_of
from runtara_agents_sftp.paths import remote_path
from runtara_agents_sftp.pool import SessionPool
from runtara_agents_sftp.removing import delete_directory, delete_file, move
from runtara_agents_sftp.session import SftpSession
from runtara_agents_sftp.transfers import download, make_directories, opened, too_large, upload
from runtara_agents_sftp.waiting import WAIT_TIMEOUT, wait_for_files

T = TypeVar("T")

_SERVER = "an SFTP server"
_FILES = {"out/orders.csv": "id\n1\n"}


@agent(
    id="sftp",
    name="SFTP",
    description="Moves files from and to SFTP servers.",
    category="file_storage",
    connection_types=[CONNECTION_TYPE],
    secure=True,
)
class SftpAgent:
    """Moves files over sessions that are kept from call to call."""

    def __init__(self) -> None:
        self._pool = SessionPool()

    @capability(
        id="sftp-list-files",
        aliases=("list", "list-files"),
        display_name="List Files",
        description="Lists a directory.",
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            TOO_MANY_ERROR,
        ),
        examples=[Example({"path": "/in", "pattern": "*.csv", "sort": "modified_time"}, needs=_SERVER)],
    )
    def list_files(self, inputs: ListInput, context: CapabilityContext) -> list[FileEntry]:
        """The entries."""
        with self._session(inputs, context) as session:
            found = [
                entry
                for entry in entries(session, inputs.path, context, recursive=inputs.recursive, pattern=inputs.pattern)
                if not (inputs.files_only and entry.is_directory)
                and (inputs.modified_since is None or (entry.modified_time or 0) >= inputs.modified_since)
            ]
        if inputs.sort is not None:
            name = inputs.sort
            found.sort(key=lambda entry: getattr(entry, name) or 0, reverse=inputs.descending)
        return found[: inputs.limit]

    @capability(
        id="sftp-download-file",
        aliases=("download", "download-file"),
        display_name="Download File",
        description="Reads a file: into the data of the workflow, or of any size into the workspace.",
        side_effects=True,
        effect=EffectClass.IDEMPOTENT,
        idempotent=True,
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            READ,
            KnownError.permanent(failures.IS_DIRECTORY, "It is a directory.", "path"),
            KnownError.permanent(failures.FILE_TOO_LARGE, "It is larger than max_bytes.", "path", "limit_bytes"),
            KnownError.permanent(failures.NOT_TEXT, "It is not of the encoding, and strict is set.", "path"),
            *WORKSPACE_ERRORS,
        ),
        examples=[
            Example({"path": "/in/orders.csv"}, needs=_SERVER),
            Example({"path": "/in/orders.csv", "save_to": "in/orders.csv"}, needs=_SERVER),
        ],
    )
    def download_file(self, inputs: DownloadInput, context: CapabilityContext) -> str | FileData | DownloadedFile:
        """The content, or where it lies."""
        if inputs.save_to is not None or inputs.response_format == "workspace":
            target = inputs.save_to or posixpath.basename(inputs.path)
            with self._session(inputs, context) as session:
                stored = download(session, inputs.path, target, context, limit_bytes=inputs.max_bytes)
            reference = FileReference.of(stored)
            return DownloadedFile(file=reference, path=inputs.path, size=stored.size, sha256=stored.sha256 or "")
        limit = min(DEFAULT_READ_BYTES if inputs.max_bytes is None else inputs.max_bytes, MAXIMUM_READ_BYTES)
        with self._session(inputs, context) as session, opened(session, inputs.path) as remote:
            if remote.size - inputs.offset > limit:
                raise too_large(inputs.path, remote.size, limit)
            content = b"".join(remote.pieces(context, offset=inputs.offset))
        if inputs.response_format == "base64":
            return base64.b64encode(content).decode()
        if inputs.response_format == "file":
            return FileData.of(content, filename=posixpath.basename(inputs.path))
        return text_of(content, inputs)

    @capability(
        id="sftp-upload-file",
        aliases=("upload", "upload-file"),
        display_name="Upload File",
        description="Writes a file; it is there as a whole or not at all.",
        side_effects=True,
        effect=EffectClass.IDEMPOTENT,
        idempotent=True,
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            *WRITE,
            READ,
            *FILES,
            KnownError.permanent(failures.INVALID_CONTENT, "`content` is missing, or no base64.", "path"),
        ),
        compensates_with="sftp-delete-file",
        compensates_description="Deletes the file that was written.",
        examples=[
            Example({"path": "/out/hello.txt", "content": "Hello\n"}, needs=_SERVER),
            Example({"path": "/out/orders.csv", "data": {"$file": "out/orders.csv"}}, needs=_SERVER, files=_FILES),
        ],
    )
    def upload_file(self, inputs: UploadInput, context: CapabilityContext) -> int | UploadedFile:
        """The bytes written."""
        source, size = opened_content(inputs, context)
        with source, self._session(inputs, context) as session:
            written = upload(
                session,
                inputs.path,
                source,
                size,
                context,
                overwrite=inputs.overwrite,
                create_dirs=inputs.create_dirs,
                atomic=inputs.atomic,
                mode=inputs.mode,
                verify_size=inputs.verify_size,
            )
        return written if inputs.output == "size" else UploadedFile(path=inputs.path, size=written)

    @capability(
        id="sftp-delete-file",
        aliases=("delete", "delete-file"),
        display_name="Delete File",
        description="Deletes a file.",
        side_effects=True,
        effect=EffectClass.KEYED,
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            KnownError.permanent(failures.DELETE_FAILED, "The server refuses.", "path"),
            KnownError.permanent(failures.IS_DIRECTORY, "It is a directory.", "path"),
        ),
        examples=[Example({"path": "/in/orders.csv"}, needs=_SERVER)],
    )
    async def delete_file(self, inputs: DeleteInput, context: CapabilityContext) -> DeletedFile:
        """Delete it."""
        before = await self._before(inputs, inputs.path, context)
        return await self._on_thread(
            inputs, context, lambda session: delete_file(session, inputs.path, before, missing_ok=inputs.missing_ok)
        )

    @capability(
        id="sftp-get-info",
        aliases=("stat", "get-info"),
        display_name="Get File Info",
        description="Tells whether a file is there, its size, times and permissions.",
        deterministic=False,
        rate_limited=True,
        known_errors=COMMON,
        examples=[Example({"path": "/in/orders.csv"}, needs=_SERVER)],
    )
    def get_info(self, inputs: PathInput, context: CapabilityContext) -> FileStatus:
        """What is there."""
        with self._session(inputs, context) as session:
            return status_of(session, inputs.path)

    @capability(
        id="sftp-move-file",
        aliases=("move", "rename"),
        display_name="Move File",
        description="Moves or renames a file or a directory.",
        side_effects=True,
        effect=EffectClass.KEYED,
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            KnownError.permanent(failures.MOVE_FAILED, "The server refuses.", "path"),
            WRITE[0],
            KnownError.permanent(failures.ALREADY_EXISTS, "It is there, and may not be replaced.", "path"),
        ),
        examples=[Example({"source": "/in/orders.csv", "destination": "/done/orders.csv"}, needs=_SERVER)],
    )
    async def move_file(self, inputs: MoveInput, context: CapabilityContext) -> MovedFile:
        """Move it."""
        before = await self._before(inputs, inputs.source, context)
        return await self._on_thread(inputs, context, lambda session: move(session, inputs, before))

    @capability(
        id="sftp-create-directory",
        aliases=("mkdir", "create-directory"),
        display_name="Create Directory",
        description="Makes a directory.",
        side_effects=True,
        idempotent=True,
        effect=EffectClass.IDEMPOTENT,
        deterministic=False,
        rate_limited=True,
        known_errors=(*COMMON, WRITE[0]),
        examples=[Example({"path": "/out/2026/11"}, needs=_SERVER)],
    )
    def create_directory(self, inputs: CreateDirectoryInput, context: CapabilityContext) -> MadeDirectory:
        """Make it."""
        with self._session(inputs, context) as session:
            full = remote_path(session, inputs.path)
            if not inputs.parents and not status_of(session, posixpath.dirname(inputs.path.rstrip("/")) or ".").exists:
                raise failed(failures.FILE_NOT_FOUND, inputs.path, "the directory above it is missing: set parents")
            status = status_of(session, inputs.path)
            if status.exists and not status.is_directory:
                raise failed(failures.CREATE_FAILED, inputs.path, "a file is there")
            return MadeDirectory(path=inputs.path, created=make_directories(session, full, inputs.path) > 0)

    @capability(
        id="sftp-delete-directory",
        aliases=("rmdir", "delete-directory"),
        display_name="Delete Directory",
        description="Deletes a directory, with all that is in it if that is asked for.",
        side_effects=True,
        effect=EffectClass.KEYED,
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            KnownError.permanent(failures.DELETE_FAILED, "The server refuses.", "path"),
            KnownError.permanent(failures.DIRECTORY_NOT_EMPTY, "It holds files, and recursive is not set.", "path"),
        ),
        examples=[Example({"path": "/work/old", "recursive": True}, needs=_SERVER)],
    )
    async def delete_directory(self, inputs: DeleteDirectoryInput, context: CapabilityContext) -> DeletedDirectory:
        """Delete it."""
        before = await self._before(inputs, inputs.path, context)
        return await self._on_thread(
            inputs,
            context,
            lambda session: delete_directory(
                session, inputs.path, before, context, recursive=inputs.recursive, missing_ok=inputs.missing_ok
            ),
        )

    @capability(
        id="sftp-download-files",
        aliases=("download-files",),
        display_name="Download Files",
        description="Downloads all files that fit a glob into a directory of the workspace.",
        side_effects=True,
        idempotent=True,
        effect=EffectClass.IDEMPOTENT,
        deterministic=False,
        rate_limited=True,
        known_errors=(*COMMON, READ, TOO_MANY_ERROR, *WORKSPACE_ERRORS),
        examples=[Example({"pattern": "/in/*.csv", "save_to": "in"}, needs=_SERVER)],
    )
    async def download_files(self, inputs: DownloadFilesInput, context: CapabilityContext) -> BatchOutput:
        """Download them."""
        return await download_matching(lambda: self._session(inputs, context), inputs, context)

    @capability(
        id="sftp-upload-files",
        aliases=("upload-files",),
        display_name="Upload Files",
        description="Uploads all files of the workspace that fit a glob into a directory of the server.",
        side_effects=True,
        idempotent=True,
        effect=EffectClass.IDEMPOTENT,
        deterministic=False,
        rate_limited=True,
        known_errors=(*COMMON, *WRITE, READ, TOO_MANY_ERROR, *FILES),
        examples=[Example({"pattern": "out/*.csv", "path": "/out", "create_dirs": True}, needs=_SERVER, files=_FILES)],
    )
    async def upload_files(self, inputs: UploadFilesInput, context: CapabilityContext) -> BatchOutput:
        """Upload them."""
        return await upload_matching(lambda: self._session(inputs, context), inputs, context)

    @capability(
        id="sftp-wait-for-file",
        aliases=("wait-for-file",),
        display_name="Wait For File",
        description="Waits durably until files that fit are there and are no longer written.",
        deterministic=False,
        rate_limited=True,
        known_errors=(
            *COMMON,
            TOO_MANY_ERROR,
            KnownError.permanent(WAIT_TIMEOUT, "Nothing came in time.", "path", "timeout_ms"),
        ),
        examples=[Example({"pattern": "/in/orders-*.csv", "timeout_ms": 3_600_000}, needs=_SERVER)],
    )
    async def wait_for_file(self, inputs: WaitInput, context: CapabilityContext) -> WaitOutput:
        """Wait."""

        def look() -> list[FileEntry]:
            with self._session(inputs, context) as session:
                return matching(session, inputs.pattern, context, most=10_000)

        return await wait_for_files(look, inputs, context)

    def close(self) -> None:
        """Close the sessions."""
        self._pool.close()

    def _session(self, inputs: ConnectedInput, context: CapabilityContext) -> Any:
        return self._pool.session(parameters_of(inputs.connection), context.check)

    async def _on_thread(
        self, inputs: ConnectedInput, context: CapabilityContext, work: Callable[[SftpSession], T]
    ) -> T:
        def call() -> T:
            with self._session(inputs, context) as session:
                return work(session)

        return await asyncio.to_thread(call)

    async def _before(self, inputs: ConnectedInput, path: str, context: CapabilityContext) -> FileStatus:
        """What was at a path when the step began, in whichever process that was."""

        async def look() -> Any:
            status = await self._on_thread(inputs, context, lambda session: status_of(session, path))
            return status.model_dump()

        return FileStatus.model_validate(await context.durable.checkpoint("before", look))


sftp_agent = AgentDefinition.of(SftpAgent())
