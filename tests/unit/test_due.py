"""When a new image is due: the rules of a family, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import NOW, a_package, a_version

from ovenbird.packages.stale import Update
from ovenbird.patch.due import ORDINARY, SECURITY, Due, Known, NotDue, due
from ovenbird.report.behind import Behind, Late
from ovenbird.values.image import Version
from ovenbird.values.patch import Rule

DAY = timedelta(days=1)


def known(
    *,
    security: int = 0,
    ordinary: int = 0,
    age: timedelta = DAY,
    on_its_way: int | None = None,
    parent: Version | None = None,
) -> Known:
    image = replace(a_version(3), packages_at=NOW - age)
    kinds = [True] * security + [False] * ordinary
    late = tuple(
        Late(
            update=Update(package=a_package(f"p{n}"), version="2.0", suite="stable", security=kind),
            since=NOW,
        )
        for n, kind in enumerate(kinds)
    )
    return Known(
        family="web",
        newest=image,
        behind=Behind(version=image, where=(), late=late),
        parent=parent or a_version(1, family="base"),
        on_its_way=on_its_way,
        where="soaks",
    )


def test_without_an_image_one_is_due() -> None:
    nothing = Known(family="web", newest=None, behind=None, parent=None)

    assert due(nothing, Rule(), NOW) == Due(because="there is no image of web yet")


def test_nothing_changed_is_no_reason() -> None:
    assert due(known(), Rule(), NOW) == NotDue(because="nothing in web/3 has an update")


def test_security_is_at_once_and_the_rest_waits_for_its_week() -> None:
    found = due(known(security=1, ordinary=2), Rule(), NOW)
    assert isinstance(found, Due)
    assert (found.because, found.severity) == ("1 update for security", SECURITY)

    waits = due(known(ordinary=2), Rule(), NOW)
    assert waits == NotDue(because="2 updates can wait: 6 days more")
    assert isinstance(due(known(ordinary=2, age=7 * DAY), Rule(), NOW), Due)


@pytest.mark.parametrize("age", [29 * DAY, 30 * DAY])
def test_age_counts_though_nothing_changed(age: timedelta) -> None:
    found = due(known(age=age), Rule(all=None), NOW)

    assert isinstance(found, Due) is (age >= 30 * DAY)


def test_never_is_never() -> None:
    never = Rule(security=None, all=None, max_age=None)

    assert due(known(security=3, ordinary=3, age=900 * DAY), never, NOW) == NotDue(
        because="6 updates can wait: no rule asks for them"
    )


def test_a_newer_parent_is_a_reason_whatever_the_rule_says() -> None:
    never = Rule(security=None, all=None, max_age=None)
    found = due(known(parent=a_version(2, family="base")), never, NOW)

    assert found == Due(because="its parent is base/2 now", severity=ORDINARY)


@pytest.mark.parametrize(
    ("moving", "security", "passes"),
    [
        (ORDINARY, 0, False),
        (ORDINARY, 1, True),
        (SECURITY, 1, False),
    ],
)
def test_what_is_on_its_way_is_passed_only_by_something_more_severe(
    moving: int, security: int, passes: bool
) -> None:
    """So a new version every night never keeps all of them from production."""
    found = due(known(security=security, ordinary=1, age=9 * DAY, on_its_way=moving), Rule(), NOW)

    assert isinstance(found, Due) is passes


def test_what_an_image_holds_back_is_no_reason_to_bake_it_every_night() -> None:
    """A pinned package: its update was known before the image was baked, and is not in it."""
    pinned = known(security=1, age=-DAY)

    assert due(pinned, Rule(), NOW) == NotDue(because="1 update held back by something in web/3")
