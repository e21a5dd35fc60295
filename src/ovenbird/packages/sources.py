"""Apt sources: what an image keeps, and the mirror that a bake is lent in their place.

A lent line is written to a folder that is mounted while baking and never into the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ovenbird import process
from ovenbird.packages.mirrors import mirrors_of_this_machine
from ovenbird.values.family import BakeEnvironment

HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One line of apt's one-line style: ``deb [options] URI SUITE COMPONENT…``."""

    options: str
    uri: str
    suite: str
    components: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Source:
        """Read a line that the configuration has already accepted."""
        rest = line.removeprefix("deb").strip()
        options = ""
        if rest.startswith("["):
            options, _, rest = rest.partition("]")
            options, rest = f"{options}]", rest.strip()
        uri, suite, *components = rest.split()
        return cls(options=options, uri=uri, suite=suite, components=tuple(components))

    def __str__(self) -> str:
        words = ["deb", self.options, self.uri, self.suite, *self.components]
        return " ".join(word for word in words if word)


def lend(
    sources: Sequence[str], environment: BakeEnvironment, *, cache: Path | None = None
) -> tuple[Source, ...]:
    """Say where a bake fetches from: the host's own mirror of each suite, a named one, or none.

    With ``mirror: host`` a suite that this machine does not use keeps its own address; ``cache``
    is a file for what apt says of this machine.
    """
    kept = tuple(Source.parse(line) for line in sources)
    if environment.mirror == HOST:
        here = mirrors_of_this_machine(cache=cache)
        return tuple(_moved(s, _same_archive(s, here) or s.uri) for s in kept)
    if environment.mirror:
        base = environment.mirror.rstrip("/")
        return tuple(_moved(s, base + urlsplit(s.uri).path) for s in kept)
    return kept


def apt_options(environment: BakeEnvironment) -> tuple[str, ...]:
    """List the ``Acquire`` options that reaching the packages needs from here, in apt.conf's form.

    They are this machine's own (a mirror that is a snapshot has an old date), and the proxy.
    """
    options: list[str] = []
    if environment.mirror == HOST:
        dump = process.run(["apt-config", "dump"], doing="Reading this machine's apt options")
        wanted = ("Acquire::Check-", "Acquire::http::", "Acquire::https::", "Acquire::Retries")
        options += [line for line in dump.stdout.splitlines() if line.startswith(wanted)]
    if environment.proxy:
        options += [f'Acquire::{scheme}::Proxy "{environment.proxy}";' for scheme in _SCHEMES]
    return tuple(options)


_SCHEMES = ("http", "https")


def _moved(source: Source, uri: str) -> Source:
    return Source(options=source.options, uri=uri, suite=source.suite, components=source.components)


def _same_archive(source: Source, here: Sequence[tuple[str, str]]) -> str | None:
    """Find the mirror of the same suite whose path ends alike.

    A third party's archive may call its suite ``bookworm`` too, but not end in ``/debian``.
    """
    archive = source.uri.rstrip("/").rpartition("/")[2]
    return next(
        (u for s, u in here if s == source.suite and u.rstrip("/").rpartition("/")[2] == archive),
        None,
    )
