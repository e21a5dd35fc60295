"""Which instance an operator means by a token, or by a part of one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert
from tests.builders import NOW

from ovenbird.report.named import instance_named
from ovenbird.state.database import Database
from ovenbird.state.tables import instances
from ovenbird.values.errors import ConfigurationError


def remember(database: Database, token: str, *, ended: bool = False, **more: object) -> None:
    row: dict[str, object] = {
        "token": token,
        "env": "dev",
        "fleet": "web",
        "version": "web/1",
        "launch_hash": "none",
        "slot": 0,
        "intended_at": NOW,
        "place": "podman on here:/store",
    }
    if ended:
        row |= {"ended_at": NOW + timedelta(hours=1), "ended_because": "it is stale"}
    with database.begin() as db:
        db.execute(insert(instances).values(row | more))


def test_a_whole_token_or_a_part_of_it_names_an_instance(database: Database) -> None:
    remember(database, "dev-web-aa11")
    remember(database, "dev-web-bb22")

    whole, part = instance_named(database, "dev-web-aa11"), instance_named(database, "bb")

    assert (whole.env, whole.fleet, whole.token) == ("dev", "web", "dev-web-aa11")
    assert (part.token, part.provider, part.ended_at) == ("dev-web-bb22", "podman", None)


def test_a_whole_token_is_meant_although_it_is_a_part_of_another(database: Database) -> None:
    remember(database, "dev-web-aa")
    remember(database, "dev-web-aa11")

    assert instance_named(database, "dev-web-aa").token == "dev-web-aa"


def test_a_part_of_two_is_refused_and_both_are_named(database: Database) -> None:
    remember(database, "dev-web-aa11")
    remember(database, "test-shop-aa22")

    with pytest.raises(ConfigurationError, match=r"2 instances: dev-web-aa11, test-shop-aa22"):
        instance_named(database, "aa")


def test_one_that_is_there_goes_before_those_that_have_ended(database: Database) -> None:
    remember(database, "dev-web-aa11", ended=True)
    remember(database, "dev-web-aa22")

    assert instance_named(database, "aa", ended=True).token == "dev-web-aa22"


def test_one_that_has_ended_is_found_only_by_who_wants_to_read_it(database: Database) -> None:
    remember(database, "dev-web-aa11", ended=True, provider="memory")

    named = instance_named(database, "aa", ended=True)

    assert (named.ended_at, named.ended_because) == (NOW + timedelta(hours=1), "it is stale")
    assert named.provider == "memory"
    with pytest.raises(ConfigurationError, match="has ended already, at 2026-11-22 02:00 UTC"):
        instance_named(database, "aa")
    with pytest.raises(ConfigurationError, match="has ended already"):
        instance_named(database, "dev-web-aa11")


@pytest.mark.parametrize("text", ["", "zz", "%", "_", "' OR 1=1 --"])
def test_what_nobody_launched_is_refused(database: Database, text: str) -> None:
    remember(database, "dev-web-aa11")

    with pytest.raises(ConfigurationError, match="is no instance that this site has launched"):
        instance_named(database, text)
