"""Open an engine by the name that a fleet or a bake uses for it."""

from __future__ import annotations

from pathlib import Path

from ovenbird.config import load_engines
from ovenbird.provider import Engine
from ovenbird.provider.registry import provider_named
from ovenbird.state.site import Site


def engine_named(name: str, *, project: Path, site: Site) -> Engine:
    """Open an engine as ``inventories/engines.yml`` describes it. Nothing is asked of it yet.

    Raises `ConfigurationError` for a name that nobody provides, and for a fault in that file.
    """
    settings = load_engines(project).get(name)
    return provider_named(name, folder=site.folder, site=site.id, settings=settings)
