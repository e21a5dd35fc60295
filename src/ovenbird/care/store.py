"""What a clean-up works with: the images of a site, and everything that may need one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ovenbird.catalog.needs import Needs
from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.state.site import Site
from ovenbird.values.fleet import FleetKey
from ovenbird.values.retention import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The images of a site, and everything that may need one.

    ``fleets`` says at which engines a fleet may have instances, ``named`` which files name a
    version, ``parents`` from which family another one is baked.
    """

    site: Site
    engines: Mapping[str, Engine]
    fleets: Mapping[FleetKey, Collection[str]]
    named: Needs
    retention: Mapping[str, Retention]
    parents: Mapping[str, str]
    clock: Clock
    console: Console
    by: str
