"""All that the configured sources know of some packages, its digest, and how old it is.

Data that is too old, that cannot be had or that cannot be read is `Inconclusive`: never "nothing
found".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path

from ovenbird.packages.fetch import fetched, last_copy
from ovenbird.values.advisory import Advisory, AdvisorySettings, AdvisorySource, Shape
from ovenbird.values.errors import ConfigurationError, Inconclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """``at`` is the age of the oldest source, ``notes`` what an operator is told of the sources;
    ``digest`` is of everything that they hold, so that a change of it asks for another look."""

    advisories: tuple[Advisory, ...]
    digest: str
    at: datetime
    notes: tuple[str, ...]


def known_of(
    settings: AdvisorySettings,
    wanted: Collection[str],
    *,
    project: Path,
    cache: Path,
    now: datetime,
    proxy: str = "",
) -> Known:
    """Read what all sources know of these source packages.

    Raises `Inconclusive`, and `ConfigurationError` where there is no source at all.
    """
    if not settings.sources:
        raise ConfigurationError.of(
            "No source of advisories is named.",
            remedy="Name one: sources: [{debian_tracker: "
            "https://security-tracker.debian.org/tracker/data/json, release: bookworm}]",
            file="inventories/advisories.yml",
        )
    advisories: list[Advisory] = []
    notes: list[str] = []
    hashes, oldest = hashlib.sha256(), now
    for source in settings.sources:
        got = _got(source, project=project, cache=cache, now=now, proxy=proxy)
        _require_young(source, got, settings.max_age, now)
        if got.offline:
            age = _hours(now - got.at)
            notes.append(f"{source.place} does not answer; what is kept of it is {age} old")
        hashes.update(f"{source.shape} {source.scope} ".encode())
        hashes.update(hashlib.sha256(got.data).digest())
        oldest = min(oldest, got.at)
        advisories += _read(source, got.data, wanted)
    return Known(
        advisories=tuple(advisories), digest=hashes.hexdigest(), at=oldest, notes=tuple(notes)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Got:
    """``at`` is when it was last known to be what the source has; ``offline`` is why that is not
    now, or ""."""

    data: bytes
    at: datetime
    offline: str = ""


def _got(source: AdvisorySource, *, project: Path, cache: Path, proxy: str, now: datetime) -> _Got:
    if "://" in source.place:
        return _asked(source.place, cache=cache, proxy=proxy)
    path = project / Path(source.place).expanduser()
    try:
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return _Got(data=path.read_bytes(), at=min(at, now))  # whoever brings it changes it then
    except OSError as error:
        raise Inconclusive(
            f"The advisories in {source.place} cannot be read: {error.strerror}.",
            remedy="The path starts at the project. Bring the file, or name its URL in "
            "inventories/advisories.yml.",
        ) from error


def _asked(url: str, *, cache: Path, proxy: str) -> _Got:
    try:
        answer = fetched(url, cache=cache, proxy=proxy)
        return _Got(data=answer.data, at=answer.at)
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        why = str(getattr(error, "reason", "") or error) or type(error).__name__
        kept = last_copy(url, cache=cache)
        if kept is not None:
            return _Got(data=kept.data, at=kept.at, offline=why)
        raise Inconclusive(
            f"The advisories of {url} cannot be had, and nothing of them is kept here: {why}.",
            remedy="See that it is reached from here (a proxy is the proxy: of "
            "inventories/bake/environment.yml), or name a file that you bring yourself.",
        ) from error


def _require_young(source: AdvisorySource, got: _Got, max_age: timedelta, now: datetime) -> None:
    if now - got.at > max_age:
        why = f", and its server does not answer ({got.offline})" if got.offline else ""
        raise Inconclusive(
            f"The advisories of {source.place} are {_hours(now - got.at)} old{why}; max_age is "
            f"{_hours(max_age)}.",
            remedy="Nothing can be said of any image with them. Bring newer ones, or see that the "
            "server is reached from here.",
        )


def _read(source: AdvisorySource, data: bytes, wanted: Collection[str]) -> list[Advisory]:
    if source.shape is Shape.DEBIAN_TRACKER:
        from ovenbird.packages.debian_tracker import read_tracker

        return read_tracker(data, place=source.place, release=source.scope, wanted=wanted)
    from ovenbird.packages.osv import read_osv

    return read_osv(data, place=source.place, ecosystem=source.scope, wanted=wanted)


def _hours(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h"
