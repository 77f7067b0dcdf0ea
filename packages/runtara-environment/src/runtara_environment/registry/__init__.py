"""The image registry: names with versions in the database, content-addressed artifacts on disk."""

from runtara_environment.registry.artifact_content import ArtifactContent
from runtara_environment.registry.artifact_store import MAX_ARTIFACT_BYTES, ArtifactStore, StoredArtifact
from runtara_environment.registry.image_registry import ImageRegistry
from runtara_environment.registry.layer_store import ArtifactUnavailableError
from runtara_environment.registry.models import Image, ImageArtifact, ImageKey, ImagePage
from runtara_environment.registry.signature_policy import SignaturePolicy, SignatureRefusedError

__all__ = [
    "MAX_ARTIFACT_BYTES",
    "ArtifactContent",
    "ArtifactStore",
    "ArtifactUnavailableError",
    "Image",
    "ImageArtifact",
    "ImageKey",
    "ImagePage",
    "ImageRegistry",
    "SignaturePolicy",
    "SignatureRefusedError",
    "StoredArtifact",
]
