"""OSV documents as advisories: one, a list of them, or a zip as osv.dev publishes per ecosystem.

Only what is about one ecosystem is kept, as "Debian:12": versions of another release would compare
wrongly. What cannot be read is `Inconclusive` as a whole.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from ovenbird.values.advisory import Advisory, Severity
from ovenbird.values.errors import Inconclusive

CVE = re.compile(r"CVE-\d{4}-\d{4,}")
COMPARED = "ECOSYSTEM"
"""The kind of range whose versions are those of the packages; others speak of commits."""

WORDS = {
    "unimportant": Severity.NEGLIGIBLE,
    "negligible": Severity.NEGLIGIBLE,
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "high": Severity.HIGH,
    "important": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
MARKS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM))


def read_osv(
    data: bytes, *, place: str, ecosystem: str, wanted: Collection[str] | None = None
) -> list[Advisory]:
    """Read what is known of an ecosystem; with ``wanted`` of these source packages alone.

    Withdrawn documents are left out. Raises `Inconclusive` for data of another shape, or data
    that holds nothing of the ecosystem.
    """
    found: list[Advisory] = []
    known = False
    for at, document in _documents(data, place):
        if not isinstance(document, dict) or not isinstance(document.get("id"), str):
            raise _unread(place, f"{at} is no OSV document: it has no id")
        try:
            for affected in document.get("affected") or ():
                package = affected.get("package") or {}
                if not _is_of(package.get("ecosystem", ""), ecosystem):
                    continue
                known = True
                if document.get("withdrawn") or (
                    wanted is not None and package["name"] not in wanted
                ):
                    continue
                found.extend(_advisories(document, affected, package["name"], ecosystem))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"{document['id']} is not written as OSV is: {type(error).__name__} {error}"
            raise _unread(place, why) from error
    if not known:
        raise _unread(place, f"it holds nothing of {ecosystem}")
    return found


def _documents(data: bytes, place: str) -> Iterator[tuple[str, object]]:
    try:
        if data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for name in archive.namelist():
                    if name.endswith(".json"):
                        yield name, json.loads(archive.read(name))
            return
        read = json.loads(data)
    except (ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _unread(place, f"it is neither JSON nor a zip of it: {error}") from error
    for number, document in enumerate(read if isinstance(read, list) else [read], start=1):
        yield f"document {number}", document


def _is_of(said: str, ecosystem: str) -> bool:
    """``Debian`` without a release is about every release of it."""
    return said == ecosystem or ecosystem.startswith(f"{said}:")


def _advisories(
    document: dict[str, Any], affected: dict[str, Any], name: str, ecosystem: str
) -> Iterator[Advisory]:
    id_, aliases, covers = _names(document)
    one = Advisory(
        id=id_,
        package=name,
        ecosystem=ecosystem,
        severity=severity_of(document, affected),
        summary=str(document.get("summary") or document.get("details") or "")[:400],
        aliases=aliases,
        covers=covers,
    )
    ranges = [r for r in affected.get("ranges") or () if r["type"] == COMPARED]
    spans = [span for each in ranges for span in _spans(each["events"])]
    for introduced, fixed, last in spans:
        yield replace(one, introduced=introduced, fixed_in=fixed, last_affected=last)
    if versions := affected.get("versions"):  # these are affected, whatever the ranges say
        last_fix = next((fixed for _, fixed, _ in reversed(spans) if fixed), None)
        yield replace(one, versions=frozenset(map(str, versions)), fixed_in=last_fix)


def _names(document: dict[str, Any]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Call it by its CVE where it has exactly one, so that two sources mean the same by it."""
    own = str(document["id"])
    others = [str(n) for n in (*document.get("aliases", ()), *document.get("upstream", ()))]
    cves = sorted({n for n in others if CVE.fullmatch(n)})
    if CVE.fullmatch(own) or not cves:
        return own, tuple(sorted({*others} - {own})), ()
    if len(cves) == 1:
        return cves[0], tuple(sorted({own, *others} - {cves[0]})), ()
    return own, tuple(sorted({*others} - {*cves})), tuple(cves)


def _spans(events: list[dict[str, str]]) -> Iterator[tuple[str, str | None, str | None]]:
    """Pair each beginning with the end that follows it in the order of versions."""
    from debian.debian_support import Version

    told = [(kind, str(at)) for event in events for kind, at in event.items()]
    # At the same version an end comes first: what is introduced there again is a new span.
    told.sort(key=lambda t: (Version(t[1]), t[0] == "introduced"))
    begun: str | None = None
    for kind, at in told:
        if kind == "introduced" and begun is None:
            begun = at
        elif kind == "fixed" and begun is not None:
            yield begun, at, None
            begun = None
        elif kind == "last_affected" and begun is not None:
            yield begun, None, at
            begun = None
    if begun is not None:
        yield begun, None, None


def severity_of(document: dict[str, Any], affected: dict[str, Any]) -> Severity:
    """Return the worst rating that a document gives: vectors first, then words."""
    vectors = [*(affected.get("severity") or ()), *(document.get("severity") or ())]
    rated = [_scored(str(v["type"]), str(v["score"])) for v in vectors]
    if not any(rated):
        places = [affected.get("database_specific"), affected.get("ecosystem_specific")]
        places += [document.get("database_specific")]
        said = [place.get(key) for place in places if place for key in ("severity", "urgency")]
        rated = [WORDS.get(word.lower()) for word in said if isinstance(word, str)]
    return max((r for r in rated if r), key=lambda r: r.rank, default=Severity.UNRATED)


def _scored(kind: str, text: str) -> Severity | None:
    """Rate a CVSS vector, or a distribution's own word; None for what is neither."""
    from cvss import CVSS2, CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    readers = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
    if kind not in readers:
        return WORDS.get(text.lower())
    try:
        vector = readers[kind](text)
    except CVSSError:
        return None
    score = float(vector.base_score)
    if score == 0:
        return Severity.NEGLIGIBLE
    return next((severity for least, severity in MARKS if score >= least), Severity.LOW)


def _unread(place: str, why: str) -> Inconclusive:
    return Inconclusive(
        f"The OSV data of {place} cannot be used: {why}.",
        remedy="Nothing can be said of any image with it. Fetch it again (for Debian: "
        "https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip), and see that the "
        "ecosystem in inventories/advisories.yml is one that it knows.",
    )
