"""What an apt source offers now: its signed index, read as apt reads it, and kept in a cache.

Nothing is concluded from an index that is unreachable, badly signed, expired, or not what its
signed part says: that is `Inconclusive`, and never "there is nothing to do".
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.packages.fetch import asked, fetched, write
from ovenbird.packages.sources import HOST, Source, apt_options
from ovenbird.packages.trust import keyrings_of, signed_text
from ovenbird.values.errors import Inconclusive
from ovenbird.values.family import BakeEnvironment

if TYPE_CHECKING:
    from debian.deb822 import Release

PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    "": bytes,
}
"""How a list of packages comes, the smallest first."""

FORGOTTEN = 30 * 86400.0
"""Seconds after which a list that nobody read is removed from the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One package that a suite has. ``reserved`` says that only who has it from this suite gets
    its updates from there (backports, as apt weighs them)."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    suite: str
    security: bool
    reserved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How strictly dates are taken, and the way there. Only who has a mirror that is a snapshot
    turns ``check_dates`` off, in this machine's own apt configuration."""

    cache: Path
    proxy: str = ""
    check_dates: bool = True


def rules_of(environment: BakeEnvironment, *, cache: Path) -> Rules:
    """Say how indexes are read from here: as this machine's apt does, where its mirror is used."""
    lax = environment.mirror == HOST and any(
        option.startswith("Acquire::Check-Valid-Until") and "false" in option
        for option in apt_options(environment)
    )
    return Rules(cache=cache, proxy=environment.proxy, check_dates=not lax)


def offers(
    source: Source,
    *,
    names: Collection[str],
    architectures: Collection[str],
    rules: Rules,
    now: datetime,
) -> list[Offer]:
    """List what a source offers of the named packages. Raises `Inconclusive`."""
    release = _release(source, rules, now)
    label = str(release.get("Label", "")).lower()
    security = source.suite.rstrip("/").endswith("-security") or "security" in label
    reserved = _says(release, "NotAutomatic")
    if reserved and not _says(release, "ButAutomaticUpgrades"):
        return []  # apt installs nothing from there unless it is asked to
    found: list[Offer] = []
    for place in _places(source, architectures):
        for row in _rows(source, place, release, names, rules):
            name, version, architecture, of, of_version = row
            found.append(
                Offer(
                    name=name,
                    version=version,
                    architecture=architecture,
                    source=of,
                    source_version=of_version,
                    suite=source.suite,
                    security=security,
                    reserved=reserved,
                )
            )
    return found


def _options(source: Source) -> Mapping[str, str]:
    words = source.options.strip("[]").split()
    return {key.lower(): value for key, _, value in (word.partition("=") for word in words)}


def _root(source: Source) -> str:
    """Where a suite lies: below dists/, or as the source says it where it ends in a slash."""
    base = source.uri.rstrip("/")
    if source.suite.endswith("/"):
        return f"{base}/{source.suite.strip('/')}".rstrip("/.")
    return f"{base}/dists/{source.suite}"


def _places(source: Source, architectures: Collection[str]) -> list[str]:
    if source.suite.endswith("/"):
        return ["Packages"]
    wanted = _options(source).get("arch", "")
    chosen = [a for a in sorted(architectures) if not wanted or a in wanted.split(",")]
    return [f"{part}/binary-{arch}/Packages" for part in source.components for arch in chosen]


def _release(source: Source, rules: Rules, now: datetime) -> Release:
    """Fetch the signed index of a suite, and hold it against its signature and its dates."""
    from debian.deb822 import Release

    options, called = _options(source), f"The index of {source.suite} at {source.uri}"
    unsigned = options.get("trusted", "") in ("yes", "true", "1")
    data = _get(f"{_root(source)}/InRelease", rules, called)
    if unsigned:
        text = data
    else:
        rings = keyrings_of(options.get("signed-by", ""))
        text = signed_text(data, keyrings=rings, called=called)
    release = Release(text.decode("utf-8", errors="replace"))
    checked = options.get("check-valid-until", "") not in ("no", "false", "0")
    if rules.check_dates and checked:
        _require_in_time(release, called, now)
    if not release.get("SHA256"):
        raise Inconclusive(
            f"{called} names no SHA-256 of its lists.",
            remedy="Nothing was concluded from it; the archive must offer them.",
        )
    return release


def _require_in_time(release: Release, called: str, now: datetime) -> None:
    from email.utils import parsedate_to_datetime

    until = release.get("Valid-Until")
    try:
        ended = parsedate_to_datetime(until) < now if until else False
    except ValueError as error:
        raise Inconclusive(
            f"{called} has an end that is no date: {until}.",
            remedy="Nothing was concluded from it.",
        ) from error
    if ended:
        raise Inconclusive(
            f"{called} expired on {until}: a mirror that has stopped, or somebody who holds "
            "updates back.",
            remedy="Nothing was concluded from it. See that the mirror is up to date; a snapshot "
            "that never is takes [check-valid-until=no] in its source.",
        )


def _says(release: Release, key: str) -> bool:
    return str(release.get(key, "")).lower() == "yes"


def _get(url: str, rules: Rules, called: str, *, kept: bool = True) -> bytes:
    try:
        if kept:
            return fetched(url, cache=rules.cache, proxy=rules.proxy).data
        return asked(url, proxy=rules.proxy)
    except (OSError, HTTPException, ValueError) as error:
        raise Inconclusive(
            f"{called} cannot be read: {getattr(error, 'reason', None) or error}.",
            remedy="Nothing was concluded from it. See that the mirror in "
            "inventories/bake/environment.yml is reached from here, then look again.",
        ) from error


def _rows(
    source: Source, place: str, release: Release, names: Collection[str], rules: Rules
) -> Sequence[Sequence[str]]:
    """Return what one list says of the named packages: read once for a list and these names."""
    called = f"The list {place} of {source.suite} at {source.uri}"
    listed = {str(e["name"]): (str(e["sha256"]), int(e["size"])) for e in release["SHA256"]}
    kind = next((k for k in PACKED if f"{place}{k}" in listed), None)
    if kind is None:
        return ()  # the suite has nothing for this component and architecture
    digest, size = listed[f"{place}{kind}"]
    asked = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
    kept = rules.cache / f"{digest}.{asked}.json"
    if kept.exists():
        kept.touch()
        rows: list[list[str]] = json.loads(kept.read_text())
        return rows
    url = f"{_root(source)}/{place}{kind}"
    if _says(release, "Acquire-By-Hash"):
        url = f"{url.rpartition('/')[0]}/by-hash/SHA256/{digest}"
    data = _get(url, rules, called, kept=False)
    if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
        raise Inconclusive(
            f"{called} is not what its signed index says.",
            remedy="Nothing was concluded from it: the mirror is being updated, or somebody "
            "changed it. Look again in a few minutes.",
        )
    found = [list(row) for row in _read(PACKED[kind](data), names)]
    write(kept, json.dumps(found).encode())
    _forget(rules.cache)
    return found


def _read(text: bytes, names: Collection[str]) -> Iterator[tuple[str, str, str, str, str]]:
    """Read the paragraphs of the named packages; a main archive has sixty thousand others."""
    from debian.deb822 import Packages

    wanted = {name.encode() for name in names}
    for paragraph in text.split(b"\n\n"):
        first = paragraph.lstrip(b"\n").partition(b"\n")[0]
        key, _, value = first.partition(b": ")
        if key == b"Package" and value.strip() not in wanted:
            continue
        said = Packages(paragraph)
        if (name := str(said.get("Package"))) in names:
            of, of_version = str(said.source), str(said.source_version)
            yield name, str(said["Version"]), str(said["Architecture"]), of, of_version


def _forget(cache: Path) -> None:
    old = time.time() - FORGOTTEN
    for path in cache.iterdir():
        with suppress(FileNotFoundError):  # somebody's draft that is in its place now
            if path.is_file() and path.stat().st_mtime < old:
                path.unlink()
