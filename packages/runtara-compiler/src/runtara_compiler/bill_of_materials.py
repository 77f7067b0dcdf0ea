"""The bill of materials of an artifact, in CycloneDX: what it was made from, with versions, digests and licences.

The same inputs give the same bytes: it has no time, and its serial number follows from its content.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_NAMESPACE = uuid.UUID("b5a0f7a1-4a39-5d0e-9a0e-2f7f6a3f6c11")
"""Of serial numbers; any fixed value does."""


@dataclass(frozen=True, slots=True)
class Material:
    """A distribution that an artifact holds or needs; `sha256` is hexadecimal."""

    name: str
    version: str
    sha256: str | None


def bill_of_materials(manifest: Mapping[str, Any], included: Iterable[Material] = ()) -> str:
    """The bill of an artifact as JSON text.

    Args:
        manifest: the manifest of the artifact.
        included: distributions that the artifact holds, beside those that the manifest names.
    """
    scenario = manifest["scenario"]
    root = Component(
        type=ComponentType.APPLICATION,
        name=str(scenario["id"]),
        version=str(scenario["version"]),
        bom_ref=f"scenario:{scenario['id']}@{scenario['version']}",
        hashes=[_sha256(scenario["sha256"])],
    )
    python = Component(
        type=ComponentType.PLATFORM,
        name="CPython",
        version=str(manifest["python"]),
        bom_ref=f"cpython@{manifest['python']}",
    )
    children = [
        Component(
            type=ComponentType.APPLICATION,
            name=str(child["id"]),
            version=str(child["version"]),
            bom_ref=f"scenario:{child['id']}@{child['version']}",
            hashes=[_sha256(child["sha256"])],
        )
        for child in scenario.get("children", ())
    ]
    bom = Bom()
    bom.metadata.timestamp = None  # type: ignore[assignment]  # two builds of one input are the same
    bom.metadata.component = root
    parts = [python, *children, *map(_component, _materials(manifest, included))]
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(root, parts)
    bom.serial_number = uuid.UUID(int=0)
    digest = hashlib.sha256(JsonV1Dot6(bom).output_as_string().encode()).hexdigest()
    bom.serial_number = uuid.uuid5(_NAMESPACE, digest)
    text: str = JsonV1Dot6(bom).output_as_string()
    return json.dumps(json.loads(text), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _materials(manifest: Mapping[str, Any], included: Iterable[Material]) -> list[Material]:
    """Each distribution once; what an artifact holds is told before what its manifest pins."""
    pins = [manifest["sdk"], manifest["compiler"], *manifest["agents"], *manifest["requirements"]]
    pinned = (
        Material(pin["distribution"], pin.get("version") or "unknown", pin.get("sha256"))
        for pin in pins
        if pin.get("distribution")
    )
    found: dict[str, Material] = {}
    for material in (*included, *pinned):
        found.setdefault(material.name, material)
    return [found[name] for name in sorted(found)]


def _component(material: Material) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=material.name,
        version=material.version,
        bom_ref=f"{material.name}@{material.version}",
        purl=PackageURL("pypi", None, material.name, material.version),
        hashes=[_sha256(material.sha256)] if material.sha256 else [],
        licenses=_licences(material.name),
    )


def _licences(name: str) -> list[Any]:
    """The licence expression that a distribution declares, if it is one."""
    try:
        declared = metadata.metadata(name)["License-Expression"]
    except (metadata.PackageNotFoundError, KeyError):
        return []
    return [LicenseFactory().make_from_string(declared)] if declared else []


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
