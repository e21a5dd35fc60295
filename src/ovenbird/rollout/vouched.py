"""Nothing is launched that nobody with a key has vouched for.

A site without trusted keys checks nothing. One with keys looks at seal and statement before every
launch, and at the bytes themselves once for each image in the life of a driver.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ovenbird.catalog import Catalog
from ovenbird.provider import Engine
from ovenbird.rollout.bounded import LONGEST_CALL, BoundedProvider
from ovenbird.values.errors import ConfigurationError, Tampered
from ovenbird.values.fleet import Order
from ovenbird.values.image import Artifact, ImageRef, Version
from ovenbird.values.instance import Seen


@dataclass(slots=True)
class Vouching:
    """What is known of images in this process. ``engine`` reads their bytes again."""

    catalog: Catalog
    engine: Engine
    _read: set[str] = field(default_factory=set)

    def require(self, version: Version, artifact: Artifact) -> None:
        """Raise `Tampered` for what is not what was signed; then nothing was launched."""
        if not self.catalog.is_sealed:
            return
        self.catalog.require_vouched(version, artifact)
        if artifact.id not in self._read:
            self.engine.verify(artifact)
            self._read.add(artifact.id)


class VouchedProvider(BoundedProvider):
    """An engine that launches only what is vouched for, in time."""

    def __init__(self, inner: Engine, vouching: Vouching, *, longest: float = LONGEST_CALL) -> None:
        super().__init__(inner, longest=longest)
        self._vouching = vouching

    def launch(self, order: Order) -> Seen:
        if self._vouching.catalog.is_sealed:
            self._vouching.require(self._version(order), order.artifact)
        return super().launch(order)

    def _version(self, order: Order) -> Version:
        try:
            version = self._vouching.catalog.launchable(ImageRef.parse(order.version))
        except ConfigurationError as unknown:
            raise Tampered(
                f"{order.version} is not in the catalog, so nobody has signed it.",
                remedy="Nothing was launched. Bake it, or roll to another image.",
            ) from unknown
        if order.contract != version.contract:
            raise Tampered(
                f"{order.version} is asked for with another contract than it was baked with.",
                remedy="Nothing was launched. Find out who changed the database.",
            )
        return version
