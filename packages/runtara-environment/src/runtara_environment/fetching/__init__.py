"""Artifacts that this host lacks: where they are, how they come here, and where copies of new ones are kept."""

from runtara_environment.fetching.fetcher import ArtifactFetcher
from runtara_environment.fetching.source import ArtifactSource

__all__ = ["ArtifactFetcher", "ArtifactSource"]
