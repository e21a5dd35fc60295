"""Which advisories an image's packages have, and which of them a gate stops."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ovenbird.packages.advisories import affecting, changed, gated, lapsed
from ovenbird.values.advisory import Advisory, Affected, Gate, Severity
from ovenbird.values.errors import Inconclusive
from ovenbird.values.exception import AdvisoryException
from ovenbird.values.package import Kind, Package

TODAY = date(2026, 11, 24)


def a_package(
    name: str = "libssl3", version: str = "3.0.11-1", *, source: str = "openssl"
) -> Package:
    return Package(
        name=name, version=version, architecture="amd64", source=source, source_version=version
    )


def an_advisory(
    fixed_in: str | None = "3.0.15-1",
    *,
    id_: str = "CVE-2026-0001",
    severity: Severity = Severity.HIGH,
    source: str = "openssl",
    introduced: str = "0",
    last_affected: str | None = None,
    aliases: tuple[str, ...] = (),
    covers: tuple[str, ...] = (),
) -> Advisory:
    return Advisory(
        id=id_,
        package=source,
        ecosystem="bookworm",
        severity=severity,
        introduced=introduced,
        fixed_in=fixed_in,
        last_affected=last_affected,
        aliases=aliases,
        covers=covers,
    )


def an_exception(
    advisory: str = "CVE-2026-0001", package: str = "", *, days: int = 30
) -> AdvisoryException:
    return AdvisoryException(
        advisory=advisory,
        package=package,
        reason="not reachable from outside",
        owner="ann",
        expires=TODAY + timedelta(days=days),
    )


def found(*advisories: Advisory, packages: tuple[Package, ...] = ()) -> list[Affected]:
    return affecting(packages or (a_package(),), advisories)


def ids(affected: list[Affected]) -> list[str]:
    return [each.advisory.id for each in affected]


@pytest.mark.parametrize(
    ("installed", "fixed_in", "has_it"),
    [
        ("3.0.9-1", "3.0.15-1", True),
        ("3.0.15-1", "3.0.15-1", False),
        ("3.0.9-1", "3.0.11-1", True),  # as text it would be the newer one
        ("1:1.0-1", "2.0-1", False),  # an epoch is above all
        ("2.0-1", "1:1.0-1", True),
        ("2.0~rc1-1", "2.0-1", True),  # a tilde is below nothing
        ("2.0-1", "2.0~rc1-1", False),
        ("2.0-1+deb12u1", "2.0-1+deb12u10", True),
        ("2.0-1+deb12u10", "2.0-1+deb12u9", False),
        ("99-1", None, True),
    ],
)
def test_versions_are_compared_in_debians_order(
    installed: str, fixed_in: str | None, has_it: bool
) -> None:
    affected = found(an_advisory(fixed_in), packages=(a_package(version=installed),))

    assert bool(affected) is has_it


def test_what_came_in_later_is_not_in_an_older_package() -> None:
    assert not found(an_advisory("3.0.15-1", introduced="3.0.12-1"))
    assert found(an_advisory("3.0.15-1", introduced="3.0.11-1"))


def test_the_last_affected_version_is_affected_and_the_next_is_not() -> None:
    assert found(an_advisory(None, last_affected="3.0.11-1"))
    assert not found(an_advisory(None, last_affected="3.0.10-1"))


def test_one_vulnerability_of_one_source_is_told_once_with_all_its_packages() -> None:
    packages = (a_package("openssl"), a_package("libssl3"))

    (affected,) = found(an_advisory(), packages=packages)

    assert affected.binaries == ("libssl3", "openssl")


def test_two_sources_of_data_make_one_entry_with_the_worse_rating_and_the_later_fix() -> None:
    tracker = an_advisory("3.0.15-1", severity=Severity.UNRATED)
    osv = an_advisory("3.0.16-1", severity=Severity.CRITICAL, aliases=("DEBIAN-CVE-2026-0001",))

    (affected,) = found(tracker, osv)

    assert affected.advisory.severity is Severity.CRITICAL
    assert affected.advisory.fixed_in == "3.0.16-1"
    assert affected.advisory.aliases == ("DEBIAN-CVE-2026-0001",)


def test_an_announcement_is_nothing_beside_the_vulnerabilities_that_it_is_about() -> None:
    one, two = an_advisory(), an_advisory(id_="CVE-2026-0002", severity=Severity.LOW)
    dsa = an_advisory(
        id_="DSA-1-1", severity=Severity.UNRATED, covers=("CVE-2026-0001", "CVE-2026-0002")
    )

    assert ids(found(one, two, dsa)) == ["CVE-2026-0001", "CVE-2026-0002"]
    (alone,) = found(dsa)
    assert alone.advisory.severity is Severity.UNRATED


def test_an_announcement_is_as_bad_as_the_worst_that_it_is_about() -> None:
    fixed = an_advisory("1.0-1", severity=Severity.CRITICAL)  # fixed here, and rated all the same
    dsa = an_advisory(
        id_="DSA-1-1", severity=Severity.UNRATED, covers=("CVE-2026-0001", "CVE-2026-0002")
    )

    (affected,) = found(fixed, dsa)

    assert (affected.advisory.id, affected.advisory.severity) == ("DSA-1-1", Severity.CRITICAL)


def test_the_worst_comes_first() -> None:
    rated = [
        an_advisory(id_=f"CVE-2026-000{number}", severity=severity)
        for number, severity in enumerate(Severity)
    ]

    assert ids(found(*rated)) == [f"CVE-2026-000{number}" for number in (5, 4, 3, 2, 1, 0)]


def test_a_package_of_another_manager_is_inconclusive() -> None:
    rpm = Package(
        name="bash",
        version="5.2-1",
        architecture="x86_64",
        source="bash",
        source_version="5.2-1",
        kind=Kind.RPM,
    )

    with pytest.raises(Inconclusive, match="cannot be compared") as told:
        affecting([rpm], [])

    assert told.value.exit_code == 4


def test_a_version_that_is_none_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="CVE-2026-0001 cannot be compared"):
        found(an_advisory("not a version"))


@pytest.mark.parametrize(
    ("gate", "severity", "fixed_in", "stops"),
    [
        (Gate(), Severity.HIGH, "3.0.15-1", True),
        (Gate(), Severity.CRITICAL, "3.0.15-1", True),
        (Gate(), Severity.MEDIUM, "3.0.15-1", False),
        (Gate(), Severity.CRITICAL, None, False),
        (Gate(fixable=False), Severity.CRITICAL, None, True),
        (Gate(fixable=False), Severity.LOW, None, False),
        (Gate(severity=Severity.LOW), Severity.LOW, "3.0.15-1", True),
        (Gate(severity=Severity.LOW), Severity.NEGLIGIBLE, "3.0.15-1", False),
        (Gate(), Severity.UNRATED, "3.0.15-1", True),
        (Gate(unrated=Severity.LOW), Severity.UNRATED, "3.0.15-1", False),
        (Gate(severity=Severity.CRITICAL), Severity.UNRATED, "3.0.15-1", False),
    ],
)
def test_a_gate_stops(gate: Gate, severity: Severity, fixed_in: str | None, stops: bool) -> None:
    affected = found(an_advisory(fixed_in, severity=severity))

    assert bool(gated(affected, gate, [], TODAY)) is stops


@pytest.mark.parametrize(("days", "stops"), [(30, False), (0, False), (-1, True)])
def test_an_exception_holds_through_its_last_day(days: int, stops: bool) -> None:
    affected = found(an_advisory())

    assert bool(gated(affected, Gate(), [an_exception(days=days)], TODAY)) is stops


def test_an_exception_that_has_ended_is_named() -> None:
    over, other = an_exception(days=-1), an_exception("CVE-2026-0009", days=-1)

    assert lapsed(found(an_advisory()), [over, other], TODAY) == [over]


@pytest.mark.parametrize(
    ("package", "stops"),
    [("openssl", False), ("", False), ("libssl3", True), ("nginx", True)],
)
def test_an_exception_for_one_package_leaves_the_others(package: str, stops: bool) -> None:
    affected = found(an_advisory(), packages=(a_package("libssl3"), a_package("libssl-dev")))

    stopped = gated(affected, Gate(), [an_exception(package=package)], TODAY)

    assert bool(stopped) is stops


def test_an_exception_may_use_another_name_of_the_same() -> None:
    affected = found(an_advisory(aliases=("DSA-1-1",)))

    assert not gated(affected, Gate(), [an_exception("DSA-1-1")], TODAY)


def test_an_announcement_of_two_is_excepted_only_with_both() -> None:
    affected = found(an_advisory(id_="DSA-1-1", covers=("CVE-2026-0001", "CVE-2026-0002")))
    one, two = an_exception("CVE-2026-0001"), an_exception("CVE-2026-0002")

    assert gated(affected, Gate(), [one], TODAY)
    assert not gated(affected, Gate(), [one, two], TODAY)


def test_two_images_are_compared_by_what_went_and_what_came() -> None:
    kept = an_advisory(None, id_="CVE-2026-0003")
    before = found(an_advisory(), kept)
    new = an_advisory(None, id_="CVE-2026-0004", introduced="3.0.14-1")
    after = found(an_advisory(), kept, new, packages=(a_package(version="3.0.15-1"),))

    change = changed(before, after)

    assert ids(list(change.fixed)) == ["CVE-2026-0001"]
    assert ids(list(change.introduced)) == ["CVE-2026-0004"]
