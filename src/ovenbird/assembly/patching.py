"""Everything that a look at packages needs."""

from __future__ import annotations

from pathlib import Path

from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import load_bake_environment, load_families
from ovenbird.report.behind import Behind, Sources, behind, in_use, of_images
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError


def images_behind(project: Path, site: Site, *, family: str = "") -> list[Behind]:
    """Hold every image in use against its sources, or those of one family."""
    catalog, families = Catalog(site.database), load_families(project)
    if family and family not in families and not catalog.versions(family):
        raise ConfigurationError.of(
            f"There is no family {family!r}; there are {', '.join(sorted(families))}.",
            remedy="Name one of those.",
        )
    where = in_use(site, catalog)
    return behind(
        of_images(catalog, where, family=family),
        where,
        database=site.database,
        sources=Sources(site, load_bake_environment(project), families),
        now=SystemClock().now(),
    )
