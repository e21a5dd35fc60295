"""The Debian security tracker's JSON as advisories.

``{source: {CVE: {description, releases: {bookworm: {status, fixed_version, urgency}}}}}``. What
cannot be read is `Inconclusive` as a whole: half of the data would look like fewer advisories.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from ovenbird.values.advisory import Advisory, Severity
from ovenbird.values.errors import Inconclusive

NEVER = "0"
"""The fixed version of what never was in a release."""

URGENCIES = {
    "unimportant": Severity.NEGLIGIBLE,
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "high": Severity.HIGH,
}
"""All others, as "not yet assigned" and "end-of-life", say nothing of how bad it is."""

STATES = ("open", "resolved", "undetermined")


def read_tracker(
    data: bytes, *, place: str, release: str, wanted: Collection[str] | None = None
) -> list[Advisory]:
    """Read what is known of a release; with ``wanted`` of these source packages alone.

    ``place`` names the data in sentences. Raises `Inconclusive` for data of another shape, or
    data that holds nothing of the release.
    """
    try:
        tracker = json.loads(data)
    except ValueError as error:
        raise _unread(place, f"it is not JSON: {error}") from error
    if not isinstance(tracker, dict) or not tracker:
        raise _unread(place, "it is no mapping of source packages")
    found: list[Advisory] = []
    known = False
    for source, entries in tracker.items():
        if not isinstance(entries, dict):
            raise _unread(place, f"{source} is no mapping of advisories")
        if wanted is not None and source not in wanted:
            known = known or _mentions(entries, release)
            continue
        for name, entry in entries.items():
            here = _release(entry, release, place=place, at=f"{source} {name}")
            if here is not None:
                known = True
                found.extend(_advisory(source, name, entry, here, place=place, release=release))
    if not known:
        raise _unread(place, f"it holds nothing of the release {release}")
    return found


def _mentions(entries: dict[str, object], release: str) -> bool:
    return any(
        isinstance(e, dict) and isinstance(r := e.get("releases"), dict) and release in r
        for e in entries.values()
    )


def _release(entry: object, release: str, *, place: str, at: str) -> dict[str, object] | None:
    releases = entry.get("releases") if isinstance(entry, dict) else None
    if not isinstance(releases, dict):
        raise _unread(place, f"{at} has no releases")
    here = releases.get(release)
    if here is not None and not isinstance(here, dict):
        raise _unread(place, f"{at} in {release} is no mapping")
    return here


def _advisory(
    source: str,
    name: str,
    entry: dict[str, object],
    here: dict[str, object],
    *,
    place: str,
    release: str,
) -> list[Advisory]:
    status, fixed, at = here.get("status"), here.get("fixed_version"), f"{source} {name}"
    if status not in STATES:
        raise _unread(place, f"{at} in {release} has the status {status!r}")
    if status == "resolved" and not isinstance(fixed, str):
        raise _unread(place, f"{at} in {release} is resolved, and no version is named")
    fixed_in = fixed if status == "resolved" and isinstance(fixed, str) else None
    if fixed_in == NEVER:
        return []
    urgency = str(here.get("urgency", "")).rstrip("*")
    return [
        Advisory(
            id=name,
            package=source,
            ecosystem=release,
            severity=URGENCIES.get(urgency, Severity.UNRATED),
            summary=str(entry.get("description", "")),
            fixed_in=fixed_in,
        )
    ]


def _unread(place: str, why: str) -> Inconclusive:
    return Inconclusive(
        f"The Debian tracker's data of {place} cannot be used: {why}.",
        remedy="Nothing can be said of any image with it. Fetch it again from "
        "https://security-tracker.debian.org/tracker/data/json, and see that the release in "
        "inventories/advisories.yml is one that it knows.",
    )
