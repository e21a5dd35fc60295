"""How far a stepped rollout has come, whoever drives it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.builders import KEY, NOW, a_goal

from ovenbird.rollout.checkpoints import Checkpoints, Passage
from ovenbird.rollout.journal import Begun, Journal
from ovenbird.state.database import Database

LATER = NOW + timedelta(minutes=5)


def free(_: Connection) -> None:
    """Guard nothing: nobody else is at work on this fleet."""


@pytest.fixture
def begun(database: Database) -> Begun:
    return a_rollout(database, "r1")


@pytest.fixture
def checkpoints(database: Database) -> Checkpoints:
    return Checkpoints(database)


def a_rollout(database: Database, id_: str) -> Begun:
    begun = Begun(
        id=id_,
        kind="rollout",
        before="web/1",
        goal=a_goal(),
        untried=True,
        owner="ann@host",
        started_at=NOW,
    )
    Journal(database, KEY).begin(begun, free)
    return begun


def test_a_rollout_that_has_just_begun_has_reached_no_checkpoint(
    begun: Begun, checkpoints: Checkpoints
) -> None:
    assert checkpoints.reached(begun) == {}


def test_a_checkpoint_soaks_from_the_first_time_that_it_was_reached(
    begun: Begun, checkpoints: Checkpoints
) -> None:
    checkpoints.reach(begun, 1, at=NOW)
    checkpoints.reach(begun, 1, at=LATER)

    assert checkpoints.reached(begun) == {1: Passage(number=1, reached_at=NOW)}


def test_a_soak_outlives_its_driver(
    begun: Begun, checkpoints: Checkpoints, database: Database
) -> None:
    checkpoints.reach(begun, 1, at=NOW)

    assert Checkpoints(database).reached(begun)[1].reached_at == NOW


def test_approval_is_for_the_last_checkpoint_that_was_reached(
    begun: Begun, checkpoints: Checkpoints
) -> None:
    checkpoints.reach(begun, 1, at=NOW)
    checkpoints.reach(begun, 2, at=LATER)

    assert checkpoints.approve(begun, by="ann@host", at=LATER) == 2
    reached = checkpoints.reached(begun)
    assert (reached[1].approved_by, reached[2].approved_by) == ("", "ann@host")


def test_nobody_approves_a_checkpoint_before_it_is_reached(
    begun: Begun, checkpoints: Checkpoints
) -> None:
    assert checkpoints.approve(begun, by="ann@host", at=NOW) is None
    checkpoints.reach(begun, 1, at=LATER)

    assert checkpoints.reached(begun)[1].approved_by == ""


def test_a_checkpoint_is_approved_once(begun: Begun, checkpoints: Checkpoints) -> None:
    checkpoints.reach(begun, 1, at=NOW)
    checkpoints.approve(begun, by="ann@host", at=NOW)

    assert checkpoints.approve(begun, by="bob@db1", at=LATER) is None
    assert checkpoints.reached(begun)[1].approved_by == "ann@host"


def test_the_checkpoints_of_two_rollouts_never_meet(
    begun: Begun, checkpoints: Checkpoints, database: Database
) -> None:
    other = a_rollout(database, "r2")
    checkpoints.reach(begun, 1, at=NOW)

    assert checkpoints.reached(other) == {}
    assert checkpoints.approve(other, by="ann@host", at=LATER) is None
