"""What a site remembers of the rollouts of one fleet, and of every step that was taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.builders import KEY, NOW, a_goal, an_order

from ovenbird.rollout.book import Book, Standing
from ovenbird.rollout.journal import Begun, Guard, Journal
from ovenbird.rollout.records import Records
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.values.errors import Superseded
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


def free(_: Connection) -> None:
    """Guard nothing: nobody else is at work on this fleet."""


def refused(_: Connection) -> None:
    raise Superseded("It is somebody else's.", remedy="None.")


def launched(journal: Journal, token: str) -> None:
    journal.begin(begun(), free)
    step = journal.intend_launch(begun(), 1, an_order(token), "1 of 3", NOW, free)
    journal.finished(step, at=NOW)


def intend(journal: Journal, verb: str, token: str, *, guard: Guard = free) -> int:
    return journal.intend(begun(), 1, verb, token, because="stale", at=NOW, guard=guard)


def test_a_fleet_that_was_never_rolled_remembers_nothing(journal: Journal, book: Book) -> None:
    assert journal.last() is journal.unfinished() is None
    assert journal.completed() == []
    assert book.standing() == Standing()


def test_a_rollout_is_read_as_it_was_begun(journal: Journal) -> None:
    journal.begin(begun(), free)

    assert journal.last() == journal.unfinished() == begun()


@pytest.mark.parametrize("outcome", ["running", "blocked", "inconclusive"])
def test_a_rollout_that_was_stopped_by_no_fault_of_its_image_keeps_its_goal(
    outcome: str, journal: Journal
) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome=outcome, told="the lock", at=LATER)

    unfinished = journal.unfinished()

    assert unfinished is not None
    assert unfinished.goal == GOAL


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_rollout_that_arrived_or_failed_is_finished(outcome: str, journal: Journal) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome=outcome, told="", at=LATER)

    assert journal.unfinished() is None


def test_a_resumed_rollout_runs_again(journal: Journal) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="blocked", told="the lock", at=LATER)
    assert journal.resume(begun(), free)

    assert journal.last() == begun()


def test_a_rollback_supersedes_the_rollout_that_is_under_way(
    journal: Journal, database: Database
) -> None:
    journal.begin(begun("r1"), free)
    journal.begin(begun("r2", kind="rollback", minutes=1), free)
    journal.end(begun("r1"), free, outcome="done", told="I arrived", at=LATER)

    last = journal.last()

    assert last is not None
    assert (last.id, last.outcome) == ("r2", "running")
    assert journal.completed() == [], "the word of a superseded driver counts no more"
    assert deeds(database) == []


def test_a_rollout_that_arrived_settles_its_goal(journal: Journal, book: Book) -> None:
    journal.begin(begun(), free)
    assert book.standing().settled is None
    journal.end(begun(), free, outcome="done", told="", at=LATER, settles=True)

    assert book.standing().settled == GOAL
    assert journal.completed() == ["web/2"]


def test_a_rollout_that_failed_settles_nothing(journal: Journal, book: Book) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="failed", told="it answered 500", at=LATER)

    assert book.standing().settled is None


def test_completed_versions_are_told_once_each_the_last_one_first(journal: Journal) -> None:
    for minute, version in enumerate(["web/1", "web/2", "web/3", "web/2"]):
        one = replace(begun(f"r{minute}", minutes=minute), goal=a_goal(version))
        journal.begin(one, free)
        journal.end(one, free, outcome="done", told="", at=one.started_at)

    assert journal.completed() == ["web/2", "web/3", "web/1"]


def test_the_end_of_a_rollout_stands_in_the_history(journal: Journal, database: Database) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="failed", told="it answered 500", at=LATER)

    (deed,) = deeds(database)

    assert (deed.verb, deed.env, deed.subject) == ("rollout", "dev", "web")
    assert (deed.before, deed.after, deed.outcome) == ("web/1", "web/2", "failed")
    assert (deed.by, deed.because, deed.at) == ("ann@host", "it answered 500", LATER)


def test_a_launch_is_known_before_it_is_made(journal: Journal) -> None:
    """A driver killed between the two finds here what it left in the air."""
    journal.begin(begun(), free)
    order = an_order("web-1", version="web/2")
    step = journal.intend_launch(begun(), 1, order, "1 of 3", NOW, free, place="here")

    (left,) = journal.in_the_air()

    assert (left.step, left.verb, left.token) == (step, "launch", "web-1")
    assert (left.version, left.launch_hash, left.slot) == ("web/2", "none", 1)
    journal.finished(step, at=LATER)
    assert journal.in_the_air() == []


@pytest.mark.parametrize("verb", ["register", "drain", "deregister", "terminate"])
def test_every_step_is_known_before_it_is_taken(verb: str, journal: Journal) -> None:
    launched(journal, "web-1")
    intend(journal, verb, "web-1")

    assert [(left.verb, left.token) for left in journal.in_the_air()] == [(verb, "web-1")]


def test_a_step_that_finished_does_not_start_again(journal: Journal) -> None:
    journal.begin(begun(), free)
    step = journal.intend_launch(begun(), 1, an_order("web-1"), "1 of 3", NOW, free)
    (left,) = journal.in_the_air()
    assert journal.take_again(left, free)
    journal.finished(step, at=LATER)

    assert not journal.take_again(left, free)
    assert journal.in_the_air() == []


def test_an_instance_that_was_ended_is_the_subject_of_no_other_step(journal: Journal) -> None:
    launched(journal, "web-1")
    end = intend(journal, "terminate", "web-1")
    journal.ended(end, "web-1", because="stale", console="", at=LATER)

    for verb in ("register", "drain", "deregister", "terminate"):
        with pytest.raises(Superseded, match="ended already"):
            intend(journal, verb, "web-1")
    assert journal.in_the_air() == []


def test_the_first_end_of_an_instance_counts(journal: Journal, database: Database) -> None:
    launched(journal, "web-1")
    for because, at in (("stale", NOW), ("again", LATER)):
        journal.ended(0, "web-1", because=because, console="", at=at)

    (known,) = Records(database, KEY).of(["web-1"]).values()

    assert known.ended_at == NOW


def test_a_step_that_is_left_to_the_next_look_is_in_the_air_no_more(journal: Journal) -> None:
    launched(journal, "web-1")
    intend(journal, "drain", "web-1")
    (left,) = journal.in_the_air()
    journal.leave(left, at=LATER)

    assert journal.in_the_air() == []
    assert not journal.take_again(left, free)


def test_whoever_may_not_change_the_fleet_writes_nothing(
    journal: Journal, database: Database
) -> None:
    with pytest.raises(Superseded):
        journal.begin(begun(), refused)
    assert journal.last() is None
    launched(journal, "web-1")
    journal.end(begun(), free, outcome="blocked", told="the lock", at=NOW)
    before = journal.last()

    attempts: tuple[Callable[[], object], ...] = (
        lambda: journal.resume(begun(), refused),
        lambda: journal.end(begun(), refused, outcome="done", told="", at=LATER, settles=True),
        lambda: journal.intend_launch(begun(), 1, an_order("web-2"), "", LATER, refused),
        lambda: intend(journal, "terminate", "web-1", guard=refused),
    )
    for attempt in attempts:
        with pytest.raises(Superseded):
            attempt()

    assert journal.last() == before
    assert journal.in_the_air() == []
    assert set(Records(database, KEY).of(["web-2"])) == {"web-1"}


def test_a_cancel_is_heard_by_the_driver_of_the_rollout_and_not_by_the_next(
    journal: Journal,
) -> None:
    journal.begin(begun(), free)
    assert journal.wish(begun()) == ("", "")
    assert journal.ask(begun(), "cancel", by="bob@db1")
    assert journal.wish(begun()) == ("cancel", "bob@db1")
    journal.resume(begun(), free)

    assert journal.wish(begun())[0] == ""


def test_nobody_asks_anything_of_a_rollout_that_has_ended(journal: Journal) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="done", told="", at=LATER)

    assert not journal.ask(begun(), "cancel", by="bob@db1")
    assert not journal.resume(begun(), free)


def test_a_repair_is_not_the_rollout_of_a_fleet(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"), free)
    journal.begin(begun("r2", kind="repair", minutes=1), free)

    last = journal.last()

    assert last is not None
    assert (last.id, last.outcome) == ("r1", "running")
    journal.end(begun("r2", kind="repair"), free, outcome="done", told="", at=LATER)
    assert journal.completed() == []


def test_an_emergency_stands_in_the_history(journal: Journal, database: Database) -> None:
    one = replace(begun(), emergency=True, because="the shop is down")
    journal.begin(one, free)
    journal.end(one, free, outcome="done", told="", at=LATER)

    (deed,) = deeds(database)

    assert deed.because == "emergency: the shop is down"


def test_a_rollout_that_becomes_an_emergency_is_one_from_then_on(journal: Journal) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="blocked", told="no window", at=LATER)
    journal.resume(begun(), free, emergency=True)

    last = journal.last()

    assert last is not None
    assert last.emergency


def test_a_rollback_pins_what_it_leaves_from_its_first_moment(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"), free)
    journal.end(begun("r1"), free, outcome="done", told="", at=NOW, settles=True)
    journal.begin(begun("r2"), free, pins=("web/3", "rolled back"))

    assert book.standing() == Standing(settled=GOAL, settled_at=NOW, pins={"web/3": "rolled back"})


def test_a_second_rollback_keeps_the_pin_of_the_first(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"), free, pins=("web/3", "it answered 500"))
    journal.begin(begun("r2"), free, pins=("web/4", "so did this"))

    assert set(book.standing().pins) == {"web/3", "web/4"}


def test_what_arrived_without_serving_settles_nothing(journal: Journal, book: Book) -> None:
    journal.begin(begun(), free)
    journal.end(begun(), free, outcome="done", told="none wanted, none runs", at=NOW)

    assert book.standing().settled is None


def test_a_superseded_rollout_has_no_last_word(journal: Journal, book: Book) -> None:
    journal.begin(begun("r1"), free)
    journal.begin(begun("r2"), free)
    journal.end(begun("r1"), free, outcome="done", told="", at=LATER, settles=True)

    assert book.standing().settled is None
    last = journal.last()
    assert last is not None
    assert (last.id, last.outcome) == ("r2", "running")


def test_the_same_name_in_two_environments_never_meets(
    journal: Journal, book: Book, database: Database
) -> None:
    journal.begin(begun(), free, pins=("web/3", "rolled back"))
    journal.intend_launch(begun(), 1, an_order("web-1"), "1 of 3", NOW, free)
    journal.end(begun(), free, outcome="done", told="", at=LATER, settles=True)
    book.serves("web/2", at=NOW)
    book.goal_failed(GOAL, because="it answered 500", at=NOW)

    other, its_book = Journal(database, STAGING), Book(database, STAGING)

    assert other.last() is None
    assert (other.completed(), other.in_the_air(), other.unfinished()) == ([], [], None)
    assert its_book.standing() == Standing()
    assert its_book.failure_of(GOAL) is None
    assert not its_book.has_served("web/2")
