"""Providers by the name that a fleet uses for them, ours and those of other packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from ovenbird.provider import Engine
from ovenbird.values.engine import EngineSettings
from ovenbird.values.errors import ConfigurationError

GROUP = "ovenbird.providers"
"""A package adds a provider with an entry point of this group: a class called as
``CLASS(folder=PATH, site=ID)``, with ``settings=`` where inventories/engines.yml says something of
it."""


def provider_names() -> tuple[str, ...]:
    """Return what ``provider:`` of a fleet may say, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def provider_named(
    name: str, *, folder: Path, site: str, settings: EngineSettings | None = None
) -> Engine:
    """Open the provider ``name`` for one site; ``folder`` is where it may keep files of its own.

    Nothing is started and no engine is asked yet. Raises `ConfigurationError` for a name that no
    installed package provides.
    """
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise ConfigurationError.of(
            f"There is no provider {name!r}.",
            remedy=f"Use one of these: {', '.join(provider_names())}.",
        )
    said = {} if settings is None else {"settings": settings}
    try:
        opened = found.load()
    except ModuleNotFoundError as missing:
        raise ConfigurationError.of(
            f"The provider {name!r} needs {missing.name}, which is not installed.",
            remedy=f"Install it: pip install 'ovenbird[{name}]'",
        ) from missing
    provider: Engine = opened(folder=folder, site=site, **said)
    return provider
