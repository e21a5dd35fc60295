"""What holds of a fleet between rollouts: what it may not run, what failed, what has served."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.builders import KEY, NOW, a_goal

from ovenbird.rollout.book import Book, Standing, pin, settle
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.values.instance import Goal

GOAL = a_goal("web/2", launch_hash="h2")
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def book(database: Database) -> Book:
    return Book(database, KEY)


def test_a_pin_refuses_a_version_until_somebody_unpins(book: Book, database: Database) -> None:
    with database.begin() as db:
        pin(db, KEY, "web/2", because="rolled back", at=NOW)

    assert book.standing().pins == {"web/2": "rolled back"}
    book.unpin(by="ann@host", because="it was the network", at=LATER)
    assert book.standing() == Standing()
    (deed,) = deeds(database, env="dev", subject="web")
    assert (deed.verb, deed.because) == ("unpin", "it was the network")


def test_a_goal_is_settled_since_it_settled_first_until_another_does(
    book: Book, database: Database
) -> None:
    """A soak of it does not begin anew because somebody rolled it once more."""

    def settled(goal: Goal, at: datetime) -> Standing:
        with database.begin() as db:
            settle(db, KEY, goal, at=at)
        return book.standing()

    assert settled(GOAL, NOW) == settled(GOAL, LATER) == Standing(settled=GOAL, settled_at=NOW)
    changed = replace(GOAL, launch_hash="other")
    assert settled(changed, LATER) == Standing(settled=changed, settled_at=LATER)
    assert settled(GOAL, LATER).settled_at == LATER


def test_a_failed_goal_is_remembered_with_its_launch_data(book: Book) -> None:
    book.goal_failed(GOAL, because="it answered 500", at=NOW)

    assert book.failure_of(GOAL) == (NOW, "it answered 500")
    assert book.failure_of(replace(GOAL, launch_hash="other")) is None
    assert book.failure_of(replace(GOAL, version="web/3")) is None


def test_a_goal_that_fails_again_tells_its_last_failure(book: Book) -> None:
    book.goal_failed(GOAL, because="it answered 500", at=NOW)
    book.goal_failed(GOAL, because="it never answered", at=LATER)

    assert book.failure_of(GOAL) == (LATER, "it never answered")


def test_a_goal_that_gets_another_try_has_not_failed(book: Book) -> None:
    book.goal_failed(GOAL, because="it answered 500", at=NOW)
    book.forgive(GOAL)

    assert book.failure_of(GOAL) is None


def test_a_version_that_has_served_is_tried(book: Book) -> None:
    assert not book.has_served("web/2")
    book.serves("web/2", at=NOW)
    book.serves("web/2", at=LATER)

    assert book.has_served("web/2")
    assert not book.has_served("web/1")


def test_a_pause_says_who_and_why_until_somebody_resumes(book: Book, database: Database) -> None:
    book.pause(by="ann@host", because="the launch is today", at=NOW)

    assert book.standing().paused == "by ann@host: the launch is today"
    assert book.resume(by="bob@db1", because="it is over", at=LATER)
    assert book.standing().paused == ""
    assert [(deed.verb, deed.by) for deed in deeds(database)] == [
        ("resume", "bob@db1"),
        ("pause", "ann@host"),
    ]


def test_what_is_not_paused_is_not_resumed(book: Book, database: Database) -> None:
    assert not book.resume(by="bob@db1", because="", at=NOW)
    assert deeds(database) == []
