"""Ask the engines of a site, each opened once, whether they hold an artifact."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ovenbird.assembly import project_folder
from ovenbird.assembly.engines import engine_named
from ovenbird.provider import Engine
from ovenbird.state.site import Site
from ovenbird.values.image import Artifact


class Holding:
    """``holding(artifact)`` says whether its engine has it. Raises what the engine raises, and
    `ConfigurationError` outside of a project: nobody knows where the engines are then."""

    def __init__(self, start: Path, site: Site) -> None:
        @cache
        def engine(name: str) -> Engine:
            return engine_named(name, project=project_folder(start), site=site)

        self._engine = engine

    def __call__(self, artifact: Artifact) -> bool:
        return self._engine(artifact.provider).present(artifact)
