"""The Debian tracker and OSV, as they are published, read into advisories."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from ovenbird.packages.advisories import affecting
from ovenbird.packages.debian_tracker import read_tracker
from ovenbird.packages.osv import read_osv
from ovenbird.values.advisory import Advisory, Affected, Severity
from ovenbird.values.errors import Inconclusive
from ovenbird.values.package import Package

CVSS_31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"  # 9.8
CVSS_40 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"  # 8.7


def in_bookworm(
    status: str, *, fixed: str | None = None, urgency: str = "not yet assigned"
) -> dict[str, Any]:
    release = {
        "status": status,
        "repositories": {"bookworm": "3.0.11-1", "bookworm-security": "3.0.15-1"},
        "urgency": urgency,
    }
    if fixed is not None:
        release["fixed_version"] = fixed
    return {
        "description": "A buffer overflow.",
        "scope": "remote",
        "releases": {"bookworm": release, "sid": {**release, "status": "open"}},
    }


TRACKER: dict[str, Any] = {
    "openssl": {
        "CVE-2026-0001": in_bookworm("resolved", fixed="3.0.15-1~deb12u1", urgency="high**"),
        "CVE-2026-0002": in_bookworm("open"),
        "CVE-2026-0003": in_bookworm("resolved", fixed="0"),
        "CVE-2026-0004": in_bookworm("open", urgency="unimportant"),
        "CVE-2026-0005": in_bookworm("open", urgency="end-of-life"),
        "CVE-2026-0006": in_bookworm("undetermined"),
        "CVE-2026-0007": {"releases": {"sid": {"status": "open", "urgency": "low"}}},
    },
    "nginx": {"TEMP-0000000-AAAAAA": in_bookworm("open", urgency="low")},
}


def tracker(data: object = TRACKER, **how: Any) -> dict[str, Advisory]:
    read = read_tracker(json.dumps(data).encode(), place="data.json", release="bookworm", **how)
    return {advisory.id: advisory for advisory in read}


def test_the_tracker_tells_what_is_fixed_where_and_what_is_not() -> None:
    read = tracker()

    assert {name: a.fixed_in for name, a in read.items()} == {
        "CVE-2026-0001": "3.0.15-1~deb12u1",
        "CVE-2026-0002": None,
        "CVE-2026-0004": None,
        "CVE-2026-0005": None,
        "CVE-2026-0006": None,
        "TEMP-0000000-AAAAAA": None,
    }


def test_the_tracker_rates_only_what_somebody_has_rated() -> None:
    read = tracker()

    assert {name: str(a.severity) for name, a in read.items()} == {
        "CVE-2026-0001": "high",
        "CVE-2026-0002": "unrated",
        "CVE-2026-0004": "negligible",
        "CVE-2026-0005": "unrated",
        "CVE-2026-0006": "unrated",
        "TEMP-0000000-AAAAAA": "low",
    }


def test_only_what_is_wanted_is_read_of_the_tracker() -> None:
    assert set(tracker(wanted={"nginx"})) == {"TEMP-0000000-AAAAAA"}
    assert tracker(wanted={"bash"}) == {}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html>busy</html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no mapping of source packages"),
        (b"{}", "no mapping of source packages"),
        (b'{"openssl": []}', "openssl is no mapping"),
        (b'{"openssl": {"CVE-1": {}}}', "openssl CVE-1 has no releases"),
        (b'{"openssl": {"CVE-1": {"releases": {"bookworm": []}}}}', "in bookworm is no mapping"),
        (b'{"openssl": {"CVE-1": {"releases": {"bookworm": {}}}}}', "has the status None"),
        (
            b'{"openssl": {"CVE-1": {"releases": {"bookworm": {"status": "resolved"}}}}}',
            "no version is named",
        ),
        (
            b'{"openssl": {"CVE-1": {"releases": {"sid": {"status": "open"}}}}}',
            "nothing of the release bookworm",
        ),
    ],
)
def test_a_tracker_that_cannot_be_read_is_inconclusive(data: bytes, why: str) -> None:
    with pytest.raises(Inconclusive, match=why) as told:
        read_tracker(data, place="data.json", release="bookworm")

    assert "data.json" in told.value.problem
    assert told.value.exit_code == 4


def an_osv(id_: str = "DEBIAN-CVE-2026-0001", **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "Debian:12", "name": "openssl"},
        "ranges": [
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.15-1"}]},
            {"type": "GIT", "events": [{"introduced": "0"}]},
        ],
    }
    affected.update(more.pop("affected", {}))
    return {"id": id_, "summary": "A buffer overflow.", "affected": [affected], **more}


def osv(*documents: dict[str, Any], **how: Any) -> list[Advisory]:
    data = json.dumps(list(documents)).encode()
    return read_osv(data, place="osv.json", ecosystem="Debian:12", **how)


def of_openssl(version: str, advisories: list[Advisory]) -> list[Affected]:
    package = Package(
        name="libssl3",
        version=version,
        architecture="amd64",
        source="openssl",
        source_version=version,
    )
    return affecting([package], advisories)


def events(*told: tuple[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": [{kind: at} for kind, at in told]}]}


def test_a_document_a_list_and_a_zip_say_the_same() -> None:
    one = an_osv(upstream=["CVE-2026-0001"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("DEBIAN-CVE-2026-0001.json", json.dumps(one))
        archive.writestr("README", "no document")

    read = osv(one)

    for data in (json.dumps(one).encode(), packed.getvalue()):
        assert read_osv(data, place="x", ecosystem="Debian:12") == read
    (advisory,) = read
    assert (advisory.id, advisory.fixed_in) == ("CVE-2026-0001", "3.0.15-1")
    assert advisory.aliases == ("DEBIAN-CVE-2026-0001",)


def test_what_is_about_another_release_or_withdrawn_is_left_out() -> None:
    other = {"package": {"ecosystem": "Debian:11", "name": "openssl"}}

    assert [a.id for a in osv(an_osv(affected=other), an_osv("X-2"))] == ["X-2"]
    assert osv(an_osv(withdrawn="2026-01-01T00:00:00Z")) == []
    assert osv(an_osv(), wanted={"nginx"}) == []


@pytest.mark.parametrize(
    ("version", "has_it"),
    [("1.0-1", True), ("1.2-1", False), ("1.9-1", False), ("2.0-1", True), ("2.5-1", False)],
)
def test_each_span_of_versions_counts_in_whatever_order_it_is_written(
    version: str, has_it: bool
) -> None:
    spans = events(("fixed", "2.5-1"), ("introduced", "0"), ("introduced", "2.0-1"))
    spans["ranges"][0]["events"].append({"fixed": "1.2-1"})

    assert bool(of_openssl(version, osv(an_osv(affected=spans)))) is has_it


def test_versions_that_are_named_are_affected_whatever_the_ranges_say() -> None:
    named = {**events(("introduced", "2.0-1"), ("fixed", "2.5-1")), "versions": ["1.5-1"]}
    read = osv(an_osv(affected=named))

    (hit,) = of_openssl("1.5-1", read)
    assert hit.advisory.fixed_in == "2.5-1"
    assert not of_openssl("1.6-1", read)


def test_an_announcement_of_several_keeps_its_own_name() -> None:
    (dsa,) = osv(an_osv("DSA-5000-1", upstream=["CVE-2026-0002", "CVE-2026-0001"]))

    assert (dsa.id, dsa.covers) == ("DSA-5000-1", ("CVE-2026-0001", "CVE-2026-0002"))


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, "unrated"),
        ({"severity": [{"type": "CVSS_V3", "score": CVSS_31}]}, "critical"),
        ({"severity": [{"type": "CVSS_V4", "score": CVSS_40}]}, "high"),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, "high"),
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:nonsense"}]}, "unrated"),
        ({"severity": [{"type": "Ubuntu", "score": "medium"}]}, "medium"),
        ({"database_specific": {"severity": "MODERATE"}}, "medium"),
        ({"affected": {"ecosystem_specific": {"urgency": "unimportant"}}}, "negligible"),
        ({"affected": {"ecosystem_specific": {"urgency": "not yet assigned"}}}, "unrated"),
    ],
)
def test_a_document_is_rated_by_its_vectors_then_by_its_words(
    more: dict[str, Any], severity: str
) -> None:
    (advisory,) = osv(an_osv(**more))

    assert advisory.severity is Severity(severity)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html>", "neither JSON nor a zip"),
        (b"PK\x03\x04 cut", "neither JSON nor a zip"),
        (b"[]", "nothing of Debian:12"),
        (b"[1]", "document 1 is no OSV document"),
        (b'{"affected": []}', "document 1 is no OSV document"),
        (b'{"id": "X", "affected": [1]}', "X is not written as OSV is"),
        (b'{"id": "X", "affected": [{"package": {"ecosystem": "Debian:12"}}]}', "X is not written"),
    ],
)
def test_osv_data_that_cannot_be_read_is_inconclusive(data: bytes, why: str) -> None:
    with pytest.raises(Inconclusive, match=why) as told:
        read_osv(data, place="osv.json", ecosystem="Debian:12")

    assert told.value.exit_code == 4


def test_a_version_in_a_range_that_is_none_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="DEBIAN-CVE-2026-0001 is not written as OSV is"):
        osv(an_osv(affected=events(("introduced", "not a version"))))
