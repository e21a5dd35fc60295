"""The catalog of a site, with the keys that it signs and checks with, if it has any.

Keys are read when the first signature is made or looked at: most commands need none. A host that
trusts no key, of a site whose images are signed, launches and signs nothing: that somebody's keys
are missing is no reason to believe everybody.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.catalog import Catalog
from ovenbird.catalog.sealing import is_signed
from ovenbird.seals.keys import NAMED_BY, TRUSTED, keyring, trusts
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.seal import Sealed

if TYPE_CHECKING:
    from ovenbird.seals import Keyring


def catalog_of(site: Site) -> Catalog:
    """Open the catalog."""
    if trusts(site.folder) or os.environ.get(NAMED_BY) or is_signed(site.database):
        return Catalog(site.database, seals=_Keys(site.folder))
    return Catalog(site.database)


def none_trusted(site: Path) -> ConfigurationError:
    """Say that the images of a site are signed, and by keys that are not here."""
    return ConfigurationError.of(
        "The images of this site are signed, and this host trusts no key.",
        remedy=f"Nothing was done. Copy the *.pub of the host that baked them, or of a backup, to "
        f"{site / 'keys' / TRUSTED}. If they are lost for good: docs/explanation/who-says-so.md",
    )


class _Keys:
    """The keys of a site, read at the first use. Raises `ConfigurationError` then."""

    def __init__(self, site: Path) -> None:
        self._site = site

    def require_signer(self) -> None:
        self._keyring.require_signer()

    def close(self, payload: bytes, kind: Sealed) -> str:
        return self._keyring.close(payload, kind)

    def open(self, envelope: str | None, kind: Sealed, *, called: str) -> bytes:
        return self._keyring.open(envelope, kind, called=called)

    @cached_property
    def _keyring(self) -> Keyring:
        found = keyring(self._site)
        if found is None:
            raise none_trusted(self._site)
        return found
