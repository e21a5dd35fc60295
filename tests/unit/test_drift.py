"""Every instance in exactly one bucket; what a hand has changed, and what no hand has."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW

from ovenbird.fleet import drift
from ovenbird.fleet.drift import (
    RULES,
    Bucket,
    Examined,
    GivenUp,
    Undeclared,
    ambient_of,
    bucket_of,
    covers,
    folded,
    is_ambient,
    less,
    undeclared,
    while_proven,
)
from ovenbird.values.instance import Change, ChangeKind

ADDED, CHANGED = ChangeKind.ADDED, ChangeKind.CHANGED


def changed(*paths: str) -> tuple[Change, ...]:
    return tuple(Change(path=path, kind=CHANGED) for path in paths)


def added(*paths: str) -> tuple[Change, ...]:
    return tuple(Change(path=path, kind=ADDED) for path in paths)


examined = st.builds(
    Examined,
    owned=st.booleans(),
    lost=st.booleans(),
    answered=st.booleans(),
    revoked=st.booleans(),
    current=st.booleans(),
    drift=st.sampled_from([(), changed("/etc/x")]),
)


def is_right(bucket: Bucket, one: Examined) -> bool:
    """Say what a bucket means in words of its own, without the order of the table."""
    seen = one.owned and not one.lost and one.answered
    means = {
        Bucket.UNOWNED: not one.owned,
        Bucket.LOST: one.owned and one.lost,
        Bucket.UNKNOWN: one.owned and not one.lost and not one.answered,
        Bucket.REVOKED: seen and one.revoked,
        Bucket.DRIFTED: seen and not one.revoked and bool(one.drift),
        Bucket.STALE: seen and not one.revoked and not one.drift and not one.current,
        Bucket.CURRENT: seen and not one.revoked and not one.drift and one.current,
    }
    return [each for each, so in means.items() if so] == [bucket]


@given(examined)
def test_every_instance_is_in_exactly_one_bucket(one: Examined) -> None:
    assert is_right(bucket_of(one), one)


def test_the_table_has_one_rule_for_each_bucket() -> None:
    assert [bucket for bucket, _ in RULES] == list(Bucket)


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    line: str
    planted: str


FAULTS = [
    Fault("a stranger is looked at", "lambda e: not e.owned", "lambda e: False"),
    Fault("silence is clean", "lambda e: not e.answered", "lambda e: False"),
    Fault("drift of stale ones only", "lambda e: bool(e.drift)", "lambda e: not e.current"),
    Fault(
        "drift before revocation",
        "(Bucket.REVOKED, lambda e: e.revoked),\n    (Bucket.DRIFTED, lambda e: bool(e.drift)),",
        "(Bucket.DRIFTED, lambda e: bool(e.drift)),\n    (Bucket.REVOKED, lambda e: e.revoked),",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_in_the_table_is_seen(fault: Fault) -> None:
    source = inspect.getsource(drift)
    assert source.count(fault.line) == 1, "the line was rewritten: plant this fault anew"
    broken = ModuleType(drift.__name__)
    exec(compile(source.replace(fault.line, fault.planted), "planted", "exec"), vars(broken))
    every = [
        Examined(owned=o, lost=n, answered=a, revoked=r, current=c, drift=d)
        for o in (True, False)
        for n in (True, False)
        for a in (True, False)
        for r in (True, False)
        for c in (True, False)
        for d in ((), changed("/etc/x"))
    ]

    assert not all(is_right(Bucket(broken.bucket_of(one)), one) for one in every)


# What is allowed.


def test_a_path_covers_itself_and_what_lies_below_it_and_not_its_neighbours() -> None:
    assert covers("/var/log", "/var/log")
    assert covers("/var/log", "/var/log/nginx/access.log")
    assert covers("/var/log/", "/var/log/wtmp")
    assert not covers("/var/log", "/var/logs")
    assert not covers("/var/log", "/var")


def test_what_a_boot_makes_allows_itself_and_nothing_in_it() -> None:
    booted = added("/root/.ssh")
    hole = added("/root/.ssh/authorized_keys")

    assert less((*booted, *hole), (), ambient_of([booted, booted])) == hole
    assert is_ambient("/var/tmp/systemd-private-*", "/var/tmp/systemd-private-12ab/tmp/x")
    assert not is_ambient("/var/tmp/systemd-private-*", "/var/tmp/mine")


def test_what_is_allowed_is_taken_away_with_the_new_folders_that_lead_to_it() -> None:
    found = (*changed("/etc/x"), *added("/srv/app", "/srv/app/cache", "/srv/app/cache/1"))

    assert less(found, ["/srv/app/cache"]) == changed("/etc/x")
    assert less(found, []) == found


def test_a_changed_folder_above_an_allowed_one_is_drift() -> None:
    assert less(changed("/srv/app"), ["/srv/app/cache"]) == changed("/srv/app")


# What is undeclared.


def found_in(changes: dict[str, tuple[Change, ...]], *given_up: GivenUp) -> list[str]:
    launched = dict.fromkeys(changes, NOW)
    return [each.path for each in undeclared(changes, launched, given_up)]


@pytest.mark.parametrize(
    ("size", "touched", "common"),
    [(1, 1, False), (2, 1, False), (2, 2, True), (9, 2, True), (10, 2, False), (10, 3, True)],
)
def test_undeclared_is_what_over_a_fifth_and_at_least_two_have_changed(
    size: int, touched: int, common: bool
) -> None:
    changes = {f"web-{n}": changed("/etc/x") if n < touched else () for n in range(size)}

    assert bool(found_in(changes)) is common


def test_undeclared_is_what_comes_back_in_a_replacement_also_of_a_fleet_of_one() -> None:
    before = GivenUp(path="/etc/x", kind=CHANGED, at=NOW - timedelta(hours=1))
    after = GivenUp(path="/etc/x", kind=CHANGED, at=NOW + timedelta(hours=1))
    changes = {"web-1": changed("/etc/x", "/etc/y")}

    assert found_in(changes, before) == ["/etc/x"]
    assert found_in(changes, after) == [], "it was there before that one was given up"
    (told,) = undeclared(changes, {"web-1": NOW}, [before])
    assert told.again


def test_two_hands_in_two_places_are_not_one_undeclared_folder() -> None:
    assert found_in({"web-1": added("/etc/x"), "web-2": added("/etc/y")}) == []
    assert found_in({"web-1": added("/var/lib/x"), "web-2": added("/var/lib/y")}) == []


def test_new_files_of_a_service_count_for_their_folder_whatever_their_names() -> None:
    changes = {f"web-{n}": added(f"/var/cache/app/{n:08x}") for n in range(3)}

    assert found_in(changes) == ["/var/cache/app"]


def test_very_many_undeclared_paths_are_told_as_their_folder() -> None:
    found = [
        Undeclared(path=f"/var/cache/app/{n % 7}/{n}", tokens=("web-1", f"web-{n % 2 + 1}"))
        for n in range(200)
    ]

    assert folded(found) == (Undeclared(path="/var/cache/app", tokens=("web-1", "web-2")),)


def test_a_few_paths_and_those_of_wide_folders_are_told_one_by_one() -> None:
    few = [Undeclared(path=f"/var/cache/app/{n}", tokens=("a", "b")) for n in range(3)]
    wide = [Undeclared(path=f"/etc/{n}", tokens=("a", "b")) for n in range(9)]

    assert folded(few) == tuple(few)
    assert folded(wide) == tuple(wide)


# What every boot does.


def test_what_changes_by_itself_is_the_union_over_the_proven_instances() -> None:
    first = (*changed("/etc/machine-id"), *added("/root/.ssh", "/var/lib/dbus/machine-id"))
    second = (*changed("/etc/machine-id", "/var/log/wtmp"), *added("/var/lib/dbus/machine-id"))

    assert ambient_of([first, second]) == (
        *("/etc/machine-id", "/root/.ssh", "/var/lib/dbus/machine-id", "/var/log/wtmp"),
    )


def test_what_lies_in_a_new_folder_is_the_folders() -> None:
    new = added("/var/cache/app", "/var/cache/app/1", "/var/cache/app/2/3")

    assert ambient_of([new, new]) == ("/var/cache/app", "/var/cache/app/*")
    assert less(added("/var/cache/app", "/var/cache/app/7"), (), ambient_of([new, new])) == ()


def test_a_name_that_is_made_anew_at_each_boot_stands_for_its_kind() -> None:
    boots = ("60432c314c8243e59b0056a9848f4155", "99d2a1cf0b6c4a1f8a3a1be3f6e5d4c3")
    instances = [
        added(f"/var/tmp/systemd-private-{boot}-x.service-3Zr7R8", f"/var/log/journal/{boot}")
        for boot in boots
    ]

    assert ambient_of(instances) == ("/var/log/journal/*", "/var/tmp/systemd-private-*")


def test_of_what_the_checks_changed_counts_only_where_services_write() -> None:
    booted = changed("/etc/machine-id")
    checked = (*booted, *added("/etc/left-by-a-check", "/var/cache/nginx/1"))

    assert while_proven(booted, checked) == (*booted, *added("/var/cache/nginx/1"))


def test_an_image_that_changes_nothing_has_nothing_ambient() -> None:
    assert ambient_of([(), ()]) == ()


def test_nothing_ambient_is_drift_of_the_instances_that_it_was_learned_from() -> None:
    first = (*changed("/etc/machine-id"), *added("/srv/a", "/srv/a/1"))

    assert less(first, (), ambient_of([first, changed("/etc/other")])) == ()
