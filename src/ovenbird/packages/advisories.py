"""Which advisories an image's packages have, and which of them a gate stops.

Nothing is fetched or read here. Versions are compared as Debian orders them, never as text; of
another package manager nothing can be said, and that is `Inconclusive`, not "nothing found".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from ovenbird.values.advisory import Advisory, Affected, Exemption, Gate, Severity
from ovenbird.values.errors import Inconclusive
from ovenbird.values.package import Kind, Package

Built = tuple[str, str]
"""A source package and its version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a successor does about the advisories of an image."""

    fixed: tuple[Affected, ...]
    introduced: tuple[Affected, ...]


def affecting(packages: Sequence[Package], advisories: Iterable[Advisory]) -> list[Affected]:
    """List what the packages of an image have, the worst first.

    One vulnerability of one source is one entry, however many sources of data name it, and an
    announcement whose vulnerabilities are all listed is none beside them.
    """
    installed = _by_source(packages)
    hits: dict[Built, dict[str, Advisory]] = {}
    ratings: dict[str, Severity] = {}
    for advisory in advisories:
        if advisory.package not in installed:
            continue
        for name in (advisory.id, *advisory.aliases):
            ratings[name] = _worse(ratings.get(name, Severity.UNRATED), advisory.severity)
        for version in installed[advisory.package]:
            if _hits(advisory, version):
                found = hits.setdefault((advisory.package, version), {})
                known = found.get(advisory.id)
                found[advisory.id] = _joined(known, advisory) if known else advisory
    affected = [
        _affected(_rated(advisory, ratings), installed[source][version])
        for (source, version), found in hits.items()
        for advisory in found.values()
        if not (advisory.covers and found.keys() >= set(advisory.covers))
    ]
    return sorted(affected, key=_order)


def gated(
    affected: Iterable[Affected], gate: Gate, exceptions: Iterable[Exemption], today: date
) -> list[Affected]:
    """List what a gate stops. An exception holds through its last day, and not a day longer."""
    valid = [each for each in exceptions if each.expires >= today]
    return [each for each in affected if gate.stops(each) and not _excepted(each, valid)]


def lapsed(
    stopped: Iterable[Affected], exceptions: Iterable[Exemption], today: date
) -> list[Exemption]:
    """List the exceptions that would have let pass what is stopped now, and have expired."""
    stopped = list(stopped)
    return [
        each
        for each in exceptions
        if each.expires < today and any(_excepted(one, [each]) for one in stopped)
    ]


def changed(before: Iterable[Affected], after: Iterable[Affected]) -> Change:
    """Compare two images: what the second one does not have any more, and what it has anew."""
    old, new = {_key(a): a for a in before}, {_key(a): a for a in after}
    return Change(
        fixed=tuple(a for key, a in old.items() if key not in new),
        introduced=tuple(a for key, a in new.items() if key not in old),
    )


def _by_source(packages: Sequence[Package]) -> dict[str, dict[str, list[Package]]]:
    installed: dict[str, dict[str, list[Package]]] = {}
    for package in packages:
        if package.kind is not Kind.DEB:
            raise Inconclusive(
                f"{package} is a package of kind {package.kind}, and versions of that kind cannot "
                "be compared here.",
                remedy="Advisories are read for Debian packages. Without a gate for it in "
                "inventories/advisories.yml such an image is not looked at.",
            )
        versions = installed.setdefault(package.source, {})
        versions.setdefault(package.source_version, []).append(package)
    return installed


def _hits(advisory: Advisory, version: str) -> bool:
    if advisory.versions:
        return version in advisory.versions
    from debian.debian_support import Version  # takes a moment to load

    try:
        here = Version(version)
        if advisory.introduced != "0" and here < Version(advisory.introduced):
            return False
        if advisory.fixed_in is not None:
            return here < Version(advisory.fixed_in)
        return advisory.last_affected is None or here <= Version(advisory.last_affected)
    except ValueError as error:
        raise Inconclusive(
            f"{advisory.id} cannot be compared with {advisory.package} {version}: {error}.",
            remedy="One of the two is no version of a Debian package. Fetch the advisories again; "
            "where that does not help, read the image's packages again: invoke prove IMAGE",
        ) from error


def _joined(known: Advisory, other: Advisory) -> Advisory:
    """Two sources name the same: the worse rating holds, and the fix that satisfies both."""
    fixes = [fix for fix in (known.fixed_in, other.fixed_in) if fix is not None]
    return replace(
        known,
        severity=_worse(known.severity, other.severity),
        summary=known.summary or other.summary,
        fixed_in=_latest(fixes),
        aliases=tuple(sorted({*known.aliases, *other.aliases})),
        covers=known.covers or other.covers,
    )


def _rated(advisory: Advisory, ratings: dict[str, Severity]) -> Advisory:
    """Give an announcement the worst rating of what it covers, where it has none itself."""
    severity = advisory.severity
    if severity is Severity.UNRATED:
        for name in (*advisory.aliases, *advisory.covers):
            severity = _worse(severity, ratings.get(name, Severity.UNRATED))
    return replace(advisory, severity=severity)


def _latest(versions: list[str]) -> str | None:
    from debian.debian_support import Version

    return max(versions, key=Version) if versions else None


def _worse(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=lambda severity: severity.rank)


def _affected(advisory: Advisory, packages: list[Package]) -> Affected:
    first, *_ = built = sorted(packages)
    names = tuple(dict.fromkeys(package.name for package in built))
    return Affected(advisory=advisory, package=first, binaries=names)


def _excepted(affected: Affected, exceptions: Sequence[Exemption]) -> bool:
    """Say whether all of it is excepted; an announcement, where all that it covers is."""
    advisory, package = affected.advisory, affected.package
    names = {advisory.id, *advisory.aliases}

    def holds(wanted: set[str]) -> bool:
        left = set(affected.binaries)
        for each in exceptions:
            if each.advisory in wanted:
                whole = each.package in ("", package.source)
                left -= left if whole else {each.package}
        return not left

    return holds(names) or (bool(advisory.covers) and all(holds({c}) for c in advisory.covers))


def _key(affected: Affected) -> tuple[str, str]:
    return affected.advisory.id, affected.package.source


def _order(affected: Affected) -> tuple[int, str, str, str]:
    package = affected.package
    return (
        -affected.advisory.severity.rank,
        affected.advisory.id,
        package.source,
        package.source_version,
    )
