"""What a bake is given: the tools at hand, the operator's wish, and the shape of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ovenbird.bake.oven import Oven
from ovenbird.catalog import Catalog
from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.state.site import Site
from ovenbird.values.family import BakeEnvironment, Family
from ovenbird.values.image import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Bakery:
    """Everything that a bake works with, and nothing that it decides."""

    project: Path
    site: Site
    families: Mapping[str, Family]
    variables: Mapping[str, object]
    environment: BakeEnvironment
    catalog: Catalog
    oven: Oven
    provider: Engine
    clock: Clock
    console: Console
    by: str

    @property
    def bakes(self) -> Path:
        return self.site.folder / "bakes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asked for beside the family."""

    force: bool = False  # bake although the recipe is known
    refresh: bool = False  # bake the same recipe again if its packages moved
    keep: bool = False  # leave a failed build instance for a look
    verbose: bool = False  # show Ansible's own output
    because: str = ""
    since: datetime | None = None  # join only a version that is no older: see `Catalog.register`


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``fresh`` says that an image was made; else ``because`` says why none was needed."""

    version: Version
    fresh: bool
    because: str
