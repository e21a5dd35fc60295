"""A clean-up marks before it deletes, looks again right before, and is finished by the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.cleaning import House, a_house
from tests.driving import Killed

from ovenbird.bake.ledger import Ledger
from ovenbird.care.clean_up import Done, clean_up, plan
from ovenbird.provider.memory import MemoryProvider
from ovenbird.state.database import Database
from ovenbird.state.lock import lock_of
from ovenbird.state.tables import artifacts, fleets, versions
from ovenbird.values.errors import (
    Blocked,
    Busy,
    EngineUnreachable,
    Inconclusive,
)
from ovenbird.values.image import ImageState


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return a_house(database, tmp_path)


# Between the look and the deed.


@pytest.mark.parametrize(
    ("meanwhile", "because"),
    [
        (lambda h: h.scene.promote("web/1"), "web@stable points at it"),
        (lambda h: _settle(h, "web/1"), "dev/web has settled on it"),
    ],
)
def test_what_somebody_needs_meanwhile_stays(
    house: House, meanwhile: Callable[[House], object], because: str
) -> None:
    made = house.plan()
    meanwhile(house)

    done = house.clean(made)

    assert dict(done.stayed)["web/1"] == because
    assert "web/1" not in done.deleted
    assert house.held(1)


def _settle(house: House, image: str) -> None:
    with house.scene.site.database.begin() as db:
        db.execute(update(fleets).values(settled=image))


def test_while_a_bake_is_under_way_what_it_may_start_from_stays(house: House) -> None:
    made = house.plan()
    with lock_of(house.store.site.folder, "bake-app-memory").acquire(timeout=0):
        done = house.clean(made)
    assert {why for _, why in done.stayed} == {"a bake of app is under way"}
    assert house.gone == set()

    book = Ledger.open(
        house.store.site.folder / "bakes" / "prove-web-1", token="p", family="web", oven="memory"
    )
    assert house.going() == []
    assert house.why()["web/1"] == "a bake of web is under way and may use it"
    book.close()


def test_a_parent_stays_while_one_that_was_baked_on_it_is_there(house: House) -> None:
    made = house.plan()
    with house.scene.site.database.begin() as db:
        first, second = db.execute(versions.select().order_by(versions.c.id).limit(2)).all()
        mine = versions.c.id == second.id
        db.execute(update(versions).where(mine).values(parent_id=first.id, kept_because="x"))

    done = house.clean(made)

    assert dict(done.stayed) == {
        "web/1": "parent of web/2, which is kept",
        "web/2": "somebody keeps it: x",
    }


def test_two_at_once_are_one_too_many(house: House) -> None:
    with lock_of(house.store.site.folder, "image-gc").acquire(timeout=0), pytest.raises(Busy):
        house.clean(house.plan())


# What goes wrong.


def test_what_was_killed_half_way_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MemoryProvider, "delete", killed)
        with pytest.raises(Killed):
            house.clean()
    assert house.state("web/1") is ImageState.RETIRED
    assert house.held(1)

    made = house.plan()
    assert [str(v) for v in made.unfinished] == ["web/1"]
    done = house.clean(made)

    assert done.deleted[0] == "web/1"
    assert "m-1" in house.gone
    assert house.plan().is_empty


def test_an_engine_that_does_not_answer_ends_it_before_anything_is_deleted(house: House) -> None:
    silent = EngineUnreachable("memory says nothing.", remedy="Wait.")
    house.scene.provider.fail_next("instances", silent)

    with pytest.raises(Inconclusive, match="memory does not say what runs") as told:
        house.plan()

    assert told.value.exit_code == 4


def test_an_engine_that_holds_nothing_of_the_catalog_is_another_one(house: House) -> None:
    other = MemoryProvider(site=house.scene.site.id, clock=house.scene.clock)
    for number in range(1, 11):
        other.memory.do(lambda world, n=number: world.deleted.add(f"m-{n}"))  # type: ignore[misc]
    wrong = replace(house.store, engines={"memory": other})

    with pytest.raises(Inconclusive, match="memory holds not one of the 10 artifacts"):
        plan(wrong)


def test_what_is_not_on_this_host_of_a_shared_site_stays(
    house: House, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.scene.provider.memory.do(lambda world: world.deleted.add("m-1"))
    assert "web/1" in house.going()  # nobody else can have it: it was deleted by hand

    monkeypatch.setattr(database, "is_shared", True)

    assert house.why()["web/1"].startswith("its artifact is not at the memory of this host")


def test_one_that_an_engine_still_uses_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, delete = house.plan(), MemoryProvider.delete

    def used(self: MemoryProvider, artifact: Any) -> None:
        if artifact.id == "m-1":
            raise Blocked("m-1 still runs in an instance.", remedy="End it.")
        delete(self, artifact)

    monkeypatch.setattr(MemoryProvider, "delete", used)
    done = Done()
    with pytest.raises(Blocked, match="m-1 still runs"):
        clean_up(house.store, made, done)

    assert done.deleted == ["web/2", "web/3", "web/4", "web/7"]


def test_an_artifact_that_another_version_has_too_is_left_to_it(house: House) -> None:
    with house.scene.site.database.begin() as db:
        db.execute(update(artifacts).where(artifacts.c.artifact == "m-1").values(artifact="m-10"))

    house.clean()

    assert house.state("web/1") is ImageState.RETIRED
    assert house.held(10)
