"""What was found to differ from an image, and since when it is known."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.builders import KEY, NOW
from tests.unit.test_records import SHOP, Past

from ovenbird.care.changes import KEPT, MOST, Sightings
from ovenbird.fleet.drift import GivenUp
from ovenbird.state.database import Database
from ovenbird.state.tables import changes
from ovenbird.values.instance import Change, ChangeKind

X = Change(path="/etc/x", kind=ChangeKind.ADDED)
Y = Change(path="/etc/y", kind=ChangeKind.CHANGED, at=NOW - timedelta(days=1))
LATER = NOW + timedelta(minutes=5)
LAST = NOW + timedelta(minutes=10)


@pytest.fixture
def sightings(database: Database) -> Sightings:
    Past(database, KEY).launch("web-001", "web-002")
    return Sightings(database, KEY)


def test_what_no_look_before_has_shown_lies_between_two_looks(sightings: Sightings) -> None:
    sightings.note({"web-001": ()}, at=NOW)
    (new,) = sightings.note({"web-001": (X,)}, at=LATER)["web-001"]
    (old,) = sightings.note({"web-001": (X,)}, at=LAST)["web-001"]

    assert (new.path, new.kind, new.after, new.by) == (X.path, X.kind, NOW, LATER)
    assert (old.after, old.by) == (None, LATER)


def test_what_the_engine_knows_is_told_in_the_first_look(sightings: Sightings) -> None:
    (seen,) = sightings.note({"web-001": (Y,)}, at=NOW)["web-001"]

    assert (seen.at, seen.after, seen.by) == (Y.at, None, NOW)


def test_two_instances_have_their_own(sightings: Sightings) -> None:
    sightings.note({"web-001": (X,), "web-002": ()}, at=NOW)
    found = sightings.note({"web-001": (X,), "web-002": (X,)}, at=LATER)

    assert [found[token][0].by for token in ("web-001", "web-002")] == [NOW, LATER]


def test_those_because_of_which_one_was_given_up_are_known_in_its_fleet(
    database: Database, sightings: Sightings
) -> None:
    Past(database, SHOP).launch("shop-001")
    sightings.note({"web-001": (X, Y), "shop-001": (X,)}, at=NOW)
    sightings.give_up({"web-001": [X.path], "shop-001": [X.path]}, at=LATER)
    sightings.give_up({"web-001": [X.path]}, at=LAST)

    assert sightings.given_up(since=NOW) == (GivenUp(path=X.path, kind=X.kind, at=LATER),)
    assert sightings.given_up(since=LAST) == ()


def test_a_path_that_is_too_long_for_the_table_is_cut_in_it_alone(sightings: Sightings) -> None:
    long = [Change(path=f"/srv/{'x' * 2000}{n}", kind=ChangeKind.ADDED) for n in range(2)]
    sightings.note({"web-001": long}, at=NOW)
    found = sightings.note({"web-001": long}, at=LATER)["web-001"]

    assert [(each.path, each.by) for each in found] == [(c.path, NOW) for c in long]


def test_the_table_keeps_so_many_of_an_instance_and_what_was_seen_of_late(
    database: Database, sightings: Sightings
) -> None:
    many = [Change(path=f"/srv/{n:05}", kind=ChangeKind.ADDED) for n in range(MOST + 50)]
    told = sightings.note({"web-001": many}, at=NOW)["web-001"]
    kept = count(database)
    sightings.note({"web-002": ()}, at=NOW + KEPT + timedelta(seconds=1))

    assert len(told) == MOST + 50
    assert kept == MOST + 1
    assert count(database) == 1


def count(database: Database) -> int:
    with database.reading() as db:
        return int(db.execute(select(func.count()).select_from(changes)).scalar_one())
