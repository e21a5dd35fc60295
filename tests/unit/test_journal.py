"""What a site remembers of one fleet: its goal, its steps, its gate, and what it may not run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import KEY, NOW, a_goal, an_order

from ovenbird.rollout.book import Book, Standing, pin
from ovenbird.rollout.journal import Begun, Journal
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.values.fleet import FleetKey

GOAL = a_goal("web/2", launch_hash="h2")
STAGING = FleetKey(site=KEY.site, env="staging", name=KEY.name)
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, KEY)


@pytest.fixture
def book(database: Database) -> Book:
    return Book(database, KEY)


def begun(id_: str = "r1", *, kind: str = "rollout", minutes: int = 0) -> Begun:
    return Begun(
        id=id_,
        kind=kind,
        before="web/1",
        goal=GOAL,
        untried=True,
        owner="ann@host",
        started_at=NOW + timedelta(minutes=minutes),
    )


def test_a_fleet_that_was_never_rolled_remembers_nothing(journal: Journal, book: Book) -> None:
    assert journal.last() is journal.unfinished() is None
    assert journal.completed() == []
    assert book.standing() == Standing()


def test_a_rollout_is_read_as_it_was_begun(journal: Journal) -> None:
    journal.begin(begun())

    assert journal.last() == journal.unfinished() == begun()


@pytest.mark.parametrize("outcome", ["running", "blocked", "inconclusive"])
def test_a_rollout_that_was_stopped_by_no_fault_of_its_image_keeps_its_goal(
    outcome: str, journal: Journal
) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome=outcome, told="the lock", at=LATER)

    unfinished = journal.unfinished()

    assert unfinished is not None
    assert unfinished.goal == GOAL


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_rollout_that_arrived_or_failed_is_finished(outcome: str, journal: Journal) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome=outcome, told="", at=LATER)

    assert journal.unfinished() is None


def test_a_resumed_rollout_runs_again(journal: Journal) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome="blocked", told="the lock", at=LATER)
    journal.resume(begun())

    assert journal.last() == begun()


def test_a_rollback_supersedes_the_rollout_that_is_under_way(
    journal: Journal, database: Database
) -> None:
    journal.begin(begun("r1"))
    journal.begin(begun("r2", kind="rollback", minutes=1))
    journal.end(begun("r1"), outcome="done", told="I arrived", at=LATER)

    last = journal.last()

    assert last is not None
    assert (last.id, last.outcome) == ("r2", "running")
    assert journal.completed() == [], "the word of a superseded driver counts no more"
    assert deeds(database) == []


def test_a_rollout_that_arrived_settles_its_goal(journal: Journal, book: Book) -> None:
    journal.begin(begun())
    assert book.standing().settled is None
    journal.end(begun(), outcome="done", told="", at=LATER, settles=True)

    assert book.standing().settled == GOAL
    assert journal.completed() == ["web/2"]


def test_a_rollout_that_failed_settles_nothing(journal: Journal, book: Book) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome="failed", told="it answered 500", at=LATER)

    assert book.standing().settled is None


def test_completed_versions_are_told_once_each_the_last_one_first(journal: Journal) -> None:
    for minute, version in enumerate(["web/1", "web/2", "web/3", "web/2"]):
        one = replace(begun(f"r{minute}", minutes=minute), goal=a_goal(version))
        journal.begin(one)
        journal.end(one, outcome="done", told="", at=one.started_at)

    assert journal.completed() == ["web/2", "web/3", "web/1"]


def test_the_end_of_a_rollout_stands_in_the_history(journal: Journal, database: Database) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome="failed", told="it answered 500", at=LATER)

    (deed,) = deeds(database)

    assert (deed.verb, deed.env, deed.subject) == ("rollout", "dev", "web")
    assert (deed.before, deed.after, deed.outcome) == ("web/1", "web/2", "failed")
    assert (deed.by, deed.because, deed.at) == ("ann@host", "it answered 500", LATER)


def test_a_launch_is_known_before_it_is_made(journal: Journal) -> None:
    """A driver killed between the two finds here what it left in the air."""
    journal.begin(begun())
    step = journal.intend_launch(begun(), 1, an_order("web-1", version="web/2"), "1 of 3", NOW)

    assert journal.in_the_air() == [(step, "web-1", "web/2", 1)]
    assert journal.launched() == {"web-1"}
    journal.finished(step, at=LATER)
    assert journal.in_the_air() == []
    assert journal.launched() == {"web-1"}


def test_an_ending_is_not_a_launch_in_the_air(journal: Journal) -> None:
    journal.begin(begun())
    journal.intend(begun(), 1, "terminate", "web-1", because="it is stale", at=NOW)

    assert journal.in_the_air() == []


def test_an_instance_passes_its_gate_once(journal: Journal) -> None:
    journal.begin(begun())
    journal.intend_launch(begun(), 1, an_order("web-1"), "1 of 3", NOW)
    assert journal.accepted() == {}
    journal.accept("web-1", at=NOW)
    journal.accept("web-1", at=LATER)

    assert journal.accepted() == {"web-1": NOW}


def test_a_pin_refuses_a_version_until_somebody_unpins(book: Book, database: Database) -> None:
    with database.begin() as db:
        pin(db, KEY, "web/2", because="rolled back", at=NOW)

    assert book.standing().pins == {"web/2": "rolled back"}
    book.unpin(by="ann@host", because="it was the network", at=LATER)
    assert book.standing() == Standing()
    (deed,) = deeds(database, env="dev", subject="web")
    assert (deed.verb, deed.because) == ("unpin", "it was the network")


def test_a_rollback_pins_what_it_leaves_from_its_first_moment(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"))
    journal.end(begun("r1"), outcome="done", told="", at=NOW, settles=True)
    journal.begin(begun("r2"), pins=("web/3", "rolled back"))

    assert book.standing() == Standing(settled=GOAL, pins={"web/3": "rolled back"})


def test_a_second_rollback_keeps_the_pin_of_the_first(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"), pins=("web/3", "it answered 500"))
    journal.begin(begun("r2"), pins=("web/4", "so did this"))

    assert set(book.standing().pins) == {"web/3", "web/4"}


def test_what_arrived_without_serving_settles_nothing(journal: Journal, book: Book) -> None:
    journal.begin(begun())
    journal.end(begun(), outcome="done", told="none wanted, none runs", at=NOW)

    assert book.standing().settled is None


def test_a_superseded_rollout_has_no_last_word(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"))
    journal.begin(begun("r2"))
    journal.end(begun("r1"), outcome="done", told="", at=LATER, settles=True)

    assert book.standing().settled is None
    last = journal.last()
    assert last is not None
    assert (last.id, last.outcome) == ("r2", "running")


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


def test_the_same_name_in_two_environments_never_meets(
    journal: Journal, book: Book, database: Database
) -> None:
    journal.begin(begun(), pins=("web/3", "rolled back"))
    journal.intend_launch(begun(), 1, an_order("web-1"), "1 of 3", NOW)
    journal.accept("web-1", at=NOW)
    journal.end(begun(), outcome="done", told="", at=LATER, settles=True)
    book.serves("web/2", at=NOW)
    book.goal_failed(GOAL, because="it answered 500", at=NOW)

    other, its_book = Journal(database, STAGING), Book(database, STAGING)

    assert other.last() is None
    assert (other.completed(), other.launched(), other.accepted()) == ([], set(), {})
    assert its_book.standing() == Standing()
    assert its_book.failure_of(GOAL) is None
    assert not its_book.has_served("web/2")
