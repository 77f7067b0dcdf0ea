"""The storage in memory, with a journal of the calls that changed it.

A verb changes the memory, is written behind the journal, and is answered once the disk has it. A verb that raises has
changed nothing, so it is not written. When the storage is opened, the calls of the journal are made again: verbs read
neither a clock nor a random number, so the memory becomes what it was.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import io
import pickle
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from runtara_core.security import CredentialStore
from runtara_core.storage import Storage
from runtara_sdk.errors import StorageError

from acme_storage.credentials import MemoryCredentialStore
from acme_storage.journal_file import JournalFile
from acme_storage.memory import MemoryStorage

_READING = frozenset(
    """
    check_health close count_running find_news get_checkpoint get_instance get_progress get_scope_ancestors
    get_tenant_metrics last_contacts list_api_keys list_checkpoints list_events list_instances list_step_summaries
    load_checkpoint next_wake_at_ms open pending_cancels
    """.split()  # noqa: SIM905 - read as a paragraph
)
"""Verbs that change nothing. Every other verb of the two contracts is written."""

_STORED = ("runtara_core.", "runtara_sdk.")
"""Modules of the values that calls carry; an entry that names another one is refused."""

Verb = Callable[..., Coroutine[Any, Any, Any]]
Written = TypeVar("Written", bound=type)


class _Journal:
    """The calls of one storage: `verbs` makes them in memory, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: JournalFile | None = None
        self.verbs: dict[str, Verb] = {}

    async def open(self) -> None:
        self._file = await asyncio.to_thread(JournalFile, self._path)
        for entry in self._file.entries():
            name, arguments, keywords = _CallReader(io.BytesIO(entry)).load()
            await self.verbs[name](*arguments, **keywords)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def require_usable(self) -> JournalFile:
        if self._file is None:
            raise StorageError(f"the journal {self._path} is not open")
        self._file.require_usable()
        return self._file

    async def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        file = self.require_usable()
        # Verbs in memory wait for nothing, so calls are written in the order in which they changed the memory.
        result = await self.verbs[name](*arguments, **keywords)
        file.append(pickle.dumps((name, arguments, keywords)))
        await file.flush()
        return result


class _CallReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if not module.startswith(_STORED):
            raise StorageError(f"the journal names {module}.{name}, which no call of a storage carries")
        return super().find_class(module, name)


def _in_memory(contract: type, base: type, owner: object) -> dict[str, Verb]:
    """The verbs of `base`, called on `owner` without its journal."""
    return {name: functools.partial(verb, owner) for name, verb in _changing_verbs(contract, base).items()}


def _changing_verbs(contract: type, implementation: type) -> dict[str, Verb]:
    names = (name for name in vars(contract) if not name.startswith("_") and name not in _READING)
    found = {name: getattr(implementation, name) for name in names}
    return {name: verb for name, verb in found.items() if inspect.iscoroutinefunction(verb)}


def _writes(contract: type) -> Callable[[Written], Written]:
    """Let every verb of `contract` that changes something go through the journal of its object."""

    def written(name: str, in_memory: Verb) -> Verb:
        @functools.wraps(in_memory)
        async def verb(self: Any, *arguments: Any, **keywords: Any) -> Any:
            return await self.journal.call(name, *arguments, **keywords)

        return verb

    def decorate(cls: Written) -> Written:
        for name, in_memory in _changing_verbs(contract, cls).items():
            setattr(cls, name, written(name, in_memory))
        return cls

    return decorate


@_writes(CredentialStore)
class _JournalCredentials(MemoryCredentialStore):
    def __init__(self, journal: _Journal) -> None:
        super().__init__()
        self.journal = journal
        journal.verbs |= _in_memory(CredentialStore, MemoryCredentialStore, self)


@_writes(Storage)
class JournalStorage(MemoryStorage):
    """State that outlives its process, in the file `path`. One process at a time may open it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.journal = _Journal(path)
        self.journal.verbs |= _in_memory(Storage, MemoryStorage, self)
        self._credentials = _JournalCredentials(self.journal)

    @property
    def is_durable(self) -> bool:
        return True

    async def open(self) -> None:
        try:
            await self.journal.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self.journal.close()
        await super().close()

    async def check_health(self) -> None:
        self.journal.require_usable()
