"""Images as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.artifact.inspection import ArtifactKind
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits


@dataclass(frozen=True, slots=True)
class Image:
    """A named image at one of its versions (the current one unless asked otherwise).

    Attributes:
        image_id: stable for a tenant's name, whatever versions follow.
        tenant_id: owner.
        name: unique within the tenant.
        description: free text.
        runner_type: what an original client says of its runner; nothing is decided by it.
        metadata: free JSON object.
        version: 1, 2, ...; the same content has the same version.
        digest: SHA-256 of the artifact, hexadecimal.
        size_bytes: of the artifact.
        kind: what the artifact is.
        created_at_ms: first registration of the name.
        updated_at_ms: last registration.
        is_deleted: not offered for new starts.
        current_version: what a start launches that names no version.
        signature: Ed25519, of the digest; None when none came with it.
        version_created_at_ms: first registration of this version.
        last_used_at_ms: last registration or start of this version, as of an hour or less before.
        limits: bounds of its launches, where a start says nothing else.
        runner: name of the runner that must launch it; None leaves it to the environment.
    """

    image_id: str
    tenant_id: str
    name: str
    description: str | None
    runner_type: str
    metadata: Mapping[str, Any] | None
    version: int
    digest: str
    size_bytes: int
    kind: ArtifactKind
    created_at_ms: int
    updated_at_ms: int
    is_deleted: bool = False
    current_version: int = 0
    signature: bytes | None = None
    version_created_at_ms: int = 0
    last_used_at_ms: int = 0
    limits: ResourceLimits = UNLIMITED
    runner: str | None = None


@dataclass(frozen=True, slots=True)
class ImageKey:
    """The place of an image in a list: when it was registered first, then its id."""

    created_at_ms: int
    image_id: str


@dataclass(frozen=True, slots=True)
class ImagePage:
    """A page of images, newest first, and the number of all that match; behind a key they are not counted: 0."""

    images: tuple[Image, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class ImageArtifact:
    """What to launch: `argv` starts it on this host."""

    digest: str
    argv: tuple[str, ...]
    kind: ArtifactKind
    version: int = 1

    def files(self) -> tuple[Path, ...]:
        """The files and directories of this host that the command reads, beside what belongs to its system."""
        paths = [Path(each) for each in self.argv if each.startswith("/")]
        if self.kind == "native":
            paths[0] = paths[0].parent  # the libraries of a compiled program lie beside it
        return tuple(paths)
