"""The catalog of a site, with the keys that it signs and checks with, if it has any."""

from __future__ import annotations

from ovenbird.catalog import Catalog
from ovenbird.seals.keys import keyring
from ovenbird.state.site import Site


def catalog_of(site: Site) -> Catalog:
    """Open the catalog. Raises `ConfigurationError` for a key that cannot be read."""
    return Catalog(site.database, seals=keyring(site.folder))
