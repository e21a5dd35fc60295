"""The bill of materials of an image: CycloneDX JSON, made by the CycloneDX library.

The same image gives the same document: its serial number comes from what is inside.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ovenbird.values.image import Version
from ovenbird.values.package import Inventory, Package


def sbom(version: Version, inventory: Inventory, *, distribution: str, at: datetime) -> str:
    """Write the document for one artifact. ``distribution`` is the namespace of package URLs
    (``debian``), ``at`` when the packages were read."""
    image = Component(
        type=ComponentType.CONTAINER if inventory.provider != "qemu" else ComponentType.PLATFORM,
        name=version.family,
        version=str(version.number),
        bom_ref=str(version),
        hashes=_hashes(version, inventory.provider),
        properties=[
            Property(name="ovenbird:fingerprint", value=version.fingerprint),
            Property(name="ovenbird:packages", value=version.packages),
            Property(name="ovenbird:provider", value=inventory.provider),
        ],
    )
    packages = [_component(package, distribution) for package in inventory.packages]
    bom = Bom(
        components=packages,
        metadata=BomMetaData(component=image, timestamp=at),
        serial_number=_serial(version, inventory),
    )
    bom.register_dependency(image, packages)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _component(package: Package, distribution: str) -> Component:
    qualifiers = {"arch": package.architecture}
    if package.origin:
        qualifiers["distro"] = package.origin.strip("/")
    if (package.source, package.source_version) != (package.name, package.version):
        qualifiers["upstream"] = f"{package.source}@{package.source_version}"
    url = PackageURL(str(package.kind), distribution, package.name, package.version, qualifiers)
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=url,
        bom_ref=str(url),
        properties=[
            Property(name="ovenbird:source", value=package.source),
            Property(name="ovenbird:source-version", value=package.source_version),
        ],
    )


def _hashes(version: Version, provider: str) -> list[HashType]:
    artifact = version.artifact(provider)
    digest = artifact.id.removeprefix("sha256:") if artifact else ""
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if len(digest) == 64 else []


def _serial(version: Version, inventory: Inventory) -> UUID:
    said = "\n".join([str(version), inventory.provider, *map(repr, inventory.packages)])
    return UUID(bytes=hashlib.sha256(said.encode()).digest()[:16], version=4)
