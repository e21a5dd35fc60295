"""What a site remembers of each instance of one fleet, from its order to its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.builders import KEY, NOW, a_goal, an_order

from ovenbird.rollout.journal import Begun, Journal
from ovenbird.rollout.records import Record, Records, fleets_with_instances
from ovenbird.state.database import Database
from ovenbird.values.fleet import FleetKey

SHOP = FleetKey(site=KEY.site, env=KEY.env, name="shop")
STAGING = FleetKey(site=KEY.site, env="staging", name=KEY.name)
LATER = NOW + timedelta(minutes=5)


def free(_: Connection) -> None:
    """Guard nothing: nobody else is at work on this fleet."""


class Past:
    """What was done in one fleet, written down as a driver does it."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._journal, self._records = Journal(database, key), Records(database, key)
        self._begun = Begun(
            id=f"rollout-{key}",
            kind="rollout",
            before="web/1",
            goal=a_goal(),
            untried=True,
            owner="ann@host",
            started_at=NOW,
        )
        self._journal.begin(self._begun, free)

    def order(self, token: str, *, place: str = "") -> int:
        order = an_order(token)
        return self._journal.intend_launch(self._begun, 1, order, "1 of 3", NOW, free, place=place)

    def launch(self, *tokens: str) -> None:
        for token in tokens:
            self._journal.finished(self.order(token), at=NOW)

    def serve(self, *tokens: str) -> None:
        self.launch(*tokens)
        for token in tokens:
            self._records.accept(token, at=NOW)

    def step(self, verb: str, token: str) -> int:
        return self._journal.intend(
            self._begun, 1, verb, token, because="stale", at=NOW, guard=free
        )

    def end(self, token: str) -> None:
        step = self.step("terminate", token)
        self._journal.ended(step, token, because="stale", console="", at=NOW)


@pytest.fixture
def past(database: Database) -> Past:
    return Past(database, KEY)


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database, KEY)


def the(records: Records, token: str) -> Record:
    return records.of([token])[token]


def test_an_instance_is_known_from_its_order_on(past: Past, records: Records) -> None:
    past.order("web-1", place="memory here")

    assert records.of([]) == {
        "web-1": Record(
            token="web-1",
            version="web/1",
            launch_hash="none",
            slot=1,
            rollout_id="rollout-dev/web",
            ordered_at=NOW,
            called=False,
            place="memory here",
        )
    }


def test_a_launch_that_returned_is_told_from_one_in_the_air(past: Past, records: Records) -> None:
    past.launch("web-1")
    past.order("web-2")

    assert {token: record.called for token, record in records.of([]).items()} == {
        "web-1": True,
        "web-2": False,
    }


def test_what_has_ended_is_told_only_where_it_is_seen_all_the_same(
    past: Past, records: Records
) -> None:
    past.launch("web-1", "web-2")
    past.end("web-1")

    assert set(records.of([])) == {"web-2"}
    assert records.of(["web-1"])["web-1"].ended_at == NOW


def test_what_nobody_ordered_has_no_record(records: Records) -> None:
    assert records.of(["web-9"]) == {}


def test_an_instance_is_listed_and_accepted_once(past: Past, records: Records) -> None:
    past.launch("web-1")
    for at in (NOW, LATER):
        records.listed(["web-1"], at=at)
        records.accept("web-1", at=at)

    assert (the(records, "web-1").listed_at, the(records, "web-1").accepted_at) == (NOW, NOW)


def test_the_first_reason_to_condemn_an_instance_stays(past: Past, records: Records) -> None:
    past.launch("web-1")
    records.condemn("web-1", because="the page is empty")
    records.condemn("web-1", because="the page is late")

    assert the(records, "web-1").condemned_because == "the page is empty"


def test_what_is_kept_is_kept_until_it_is_used_again(past: Past, records: Records) -> None:
    past.launch("web-1")
    records.keep("web-1", until=LATER)
    assert the(records, "web-1").kept_until == LATER
    records.use("web-1")

    assert the(records, "web-1").kept_until is None


def test_what_only_vanished_may_come_back(past: Past, records: Records) -> None:
    past.launch("web-1")
    records.vanish(["web-1"], at=NOW)
    assert records.of([]) == {}
    assert the(records, "web-1").vanished
    records.back("web-1")

    assert the(records, "web-1").ended_at is None
    assert not the(records, "web-1").vanished


def test_what_was_ended_never_comes_back(past: Past, records: Records) -> None:
    past.launch("web-1")
    past.end("web-1")
    records.vanish(["web-1"], at=LATER)
    records.back("web-1")

    assert the(records, "web-1").ended_at == NOW
    assert not the(records, "web-1").vanished


def test_failed_are_those_that_ended_without_ever_passing_their_gate(
    past: Past, records: Records
) -> None:
    past.launch("web-1", "web-2", "web-3")
    records.accept("web-1", at=NOW)
    past.end("web-1")
    past.end("web-2")

    assert records.failed_of("rollout-dev/web") == 1
    assert records.failed_of("rollout-of-another-day") == 0


def test_being_ended_is_from_its_drain_to_its_end_in_the_whole_environment(
    past: Past, records: Records, database: Database
) -> None:
    shop, staging = Past(database, SHOP), Past(database, STAGING)
    past.serve("web-1", "web-2")
    shop.serve("shop-1")
    staging.serve("staging-1")
    for fleet, token in ((past, "web-1"), (shop, "shop-1"), (staging, "staging-1")):
        fleet.step("drain", token)

    assert sorted(records.being_ended(lost_by=NOW)) == ["shop-1", "web-1"]
    past.end("web-1")
    assert records.being_ended(lost_by=NOW) == ["shop-1"]


def test_one_that_was_lost_in_its_drain_is_waited_for_until_that_is_believed(
    past: Past, records: Records
) -> None:
    past.serve("web-1")
    past.step("drain", "web-1")
    records.lost(["web-1"], at=LATER)

    assert records.being_ended(lost_by=NOW) == ["web-1"]
    assert records.being_ended(lost_by=LATER) == []


def test_the_end_of_one_that_never_served_is_waited_for_by_nobody(
    past: Past, records: Records
) -> None:
    past.launch("web-1")
    past.step("drain", "web-1")

    assert records.being_ended(lost_by=NOW) == []


def test_a_drain_that_was_called_off_ends_nothing(past: Past, records: Records) -> None:
    past.serve("web-1")
    past.step("drain", "web-1")
    past.step("register", "web-1")

    assert records.being_ended(lost_by=NOW) == []


def test_what_is_kept_for_a_switch_back_is_not_being_ended(past: Past, records: Records) -> None:
    past.serve("web-1")
    past.step("drain", "web-1")
    records.keep("web-1", until=LATER)

    assert records.being_ended(lost_by=NOW) == []


def test_the_same_name_in_two_environments_never_meets(past: Past, database: Database) -> None:
    past.launch("web-1")
    there = Records(database, STAGING)

    assert there.of(["web-1"]) == {}
    assert there.failed_of("rollout-dev/web") == 0


def test_instances_are_counted_fleet_by_fleet(past: Past, database: Database) -> None:
    past.launch("web-1", "web-2", "web-3")
    past.end("web-3")
    Past(database, SHOP).launch("shop-1")

    assert fleets_with_instances(database, "dev") == {"web": 2, "shop": 1}
    assert fleets_with_instances(database, "staging") == {}
