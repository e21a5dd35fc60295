"""Which packages of an image have an update, decided from two lists and nothing else.

The rule is apt's: of what the image's own sources offer, the highest version counts, and from a
suite that asks to be left alone (backports) only to who has the package from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ovenbird.packages.archive import Offer
from ovenbird.values.package import Kind, Package

KERNELS = ("linux-image-", "linux-headers-", "linux-modules-")
SHARED_KERNEL = frozenset({"podman", "lxd"})
"""Engines whose instances run the host's kernel, which no image of ours can patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A package that is behind: from its version to ``version``, which ``suite`` has."""

    package: Package
    version: str
    suite: str
    security: bool

    def __str__(self) -> str:
        return f"{self.package.name} {self.package.version} → {self.version}"


def updates_of(packages: Sequence[Package], offers: Iterable[Offer]) -> tuple[Update, ...]:
    """List what is behind, security first, then by name.

    An update is one of security where a security suite has any version that is newer than the
    installed one, though another suite may have a newer one still.
    """
    from debian.debian_support import Version

    by_name: dict[str, list[Offer]] = {}
    for offer in offers:
        by_name.setdefault(offer.name, []).append(offer)
    found: list[Update] = []
    for package in packages:
        if package.kind is not Kind.DEB:
            continue
        have = Version(package.version)
        newer = [
            offer
            for offer in by_name.get(package.name, ())
            if offer.architecture in ("all", package.architecture) or package.architecture == "all"
            if not offer.reserved or package.origin == offer.suite
            if Version(offer.version) > have
        ]
        if newer:
            best = max(newer, key=lambda offer: (Version(offer.version), offer.security))
            security = any(offer.security for offer in newer)
            found.append(
                Update(package=package, version=best.version, suite=best.suite, security=security)
            )
    return tuple(sorted(found, key=lambda u: (not u.security, u.package.name)))


def with_origins(packages: Sequence[Package], offers: Iterable[Offer]) -> tuple[Package, ...]:
    """Say of each package which suite has this very version; a security suite before others."""
    from dataclasses import replace

    having: dict[tuple[str, str], Offer] = {}
    for offer in offers:
        known = having.get((offer.name, offer.version))
        if known is None or (offer.security and not known.security):
            having[offer.name, offer.version] = offer
    return tuple(
        replace(package, origin=of.suite)
        if (of := having.get((package.name, package.version)))
        else package
        for package in packages
    )


def kernel_is_ours(provider: str) -> bool:
    """Say whether instances on an engine run the kernel that is in their image."""
    return provider not in SHARED_KERNEL


def is_kernel(package: Package) -> bool:
    return package.name.startswith(KERNELS)
