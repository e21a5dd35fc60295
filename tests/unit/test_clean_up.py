"""A clean-up marks before it deletes, looks again right before, and is finished by the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.builders import NOW, an_order
from tests.driving import Killed, Scene
from tests.faults.house import add_images

from ovenbird.bake.ledger import Ledger
from ovenbird.care.clean_up import Done, Plan, Store, clean_up, plan
from ovenbird.catalog import Catalog, retiring
from ovenbird.console import Console
from ovenbird.provider.memory import MemoryProvider
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.state.lock import lock_of
from ovenbird.state.tables import artifacts, fleets, versions
from ovenbird.values.errors import (
    Blocked,
    Busy,
    ConfigurationError,
    EngineUnreachable,
    Inconclusive,
)
from ovenbird.values.image import ImageRef, ImageState
from ovenbird.values.retention import Retention

RULE = Retention(keep=1, min_age=timedelta(days=30))


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A fleet that runs web/6 and would go back to web/5, 75 days after ten images were baked."""

    scene: Scene
    store: Store

    def plan(self, **how: int) -> Plan:
        return plan(self.store, **{"share": 100, **how})

    def clean(self, made: Plan | None = None) -> Done:
        done = Done()
        clean_up(self.store, made or self.plan(), done)
        return done

    def going(self) -> list[str]:
        return [str(line.version) for line in self.plan().selection.going]

    def why(self) -> dict[str, str]:
        return {str(line.version): line.because for line in self.plan().selection.kept}

    def state(self, image: str) -> ImageState:
        return Catalog(self.scene.site.database).resolve(ImageRef.parse(image)).state

    def held(self, number: int) -> bool:
        version = Catalog(self.scene.site.database).resolve(ImageRef(family="web", version=number))
        return any(self.scene.provider.present(artifact) for artifact in version.artifacts)

    @property
    def gone(self) -> set[str]:
        return self.scene.provider.memory.do(lambda world: set(world.deleted))


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    scene = Scene.of(database, tmp_path, size=2)
    add_images(scene.site, 6)
    with scene.site.database.begin() as db:
        db.execute(update(versions).values(baked_at=NOW))
        for number in range(1, 11):
            mine = artifacts.c.version_id == number
            db.execute(update(artifacts).where(mine).values(artifact=f"m-{number}"))
    scene.roll("web/5")
    scene.roll("web/6")
    scene.promote("web/8")
    scene.clock.pass_by(75 * 86400)
    store = Store(
        site=scene.site,
        engines={"memory": scene.provider},
        fleets={scene.key: {"memory"}},
        named={"web/9": ("inventories/dev/fleets.yml:4",)},
        retention={"web": RULE},
        parents={"web": "base", "app": "web"},
        clock=scene.clock,
        console=Console(err=scene.said, out=scene.said),
        by="ann@here",
    )
    return House(scene=scene, store=store)


def test_what_the_state_the_files_and_the_retention_need_stays(house: House) -> None:
    assert house.going() == ["web/1", "web/2", "web/3", "web/4", "web/7"]
    assert house.why() == {
        "web/10": "the newest",
        "web/9": "inventories/dev/fleets.yml:4 names it",
        "web/8": "web@stable points at it",
        "web/6": "2 instances run it in dev/web",
        "web/5": "a rollback of dev/web would go to it",
    }


def test_what_goes_is_deleted_at_its_engine_and_stands_in_the_history(house: House) -> None:
    done = house.clean()

    assert done.deleted == ["web/1", "web/2", "web/3", "web/4", "web/7"]
    assert len(house.gone) == 5
    assert house.scene.running == {"web/6": 2}
    version = Catalog(house.scene.site.database).resolve(ImageRef.parse("web/1"))
    assert (version.state, version.artifacts, version.launchable) == ("retired", (), False)
    assert version.state_because == "75d old, and nothing needs it"
    told = [(d.verb, d.before, d.after) for d in deeds(house.scene.site.database, subject="web/1")]
    assert told[:2] == [("delete", "memory m-1", ""), ("retire", "active", "retired")]
    assert house.going() == []


def test_a_look_changes_nothing(house: House) -> None:
    house.plan()

    assert house.gone == set()
    assert {house.state(f"web/{n}") for n in range(1, 11)} == {ImageState.ACTIVE}


def test_at_most_so_many_go_and_the_oldest_first(house: House) -> None:
    done = house.clean(house.plan(at_most=2))

    assert done.deleted == ["web/1", "web/2"]


def test_the_log_of_its_bake_goes_with_it_and_no_other_file(house: House, tmp_path: Path) -> None:
    mine, other = tmp_path / "logs" / "bake-1.log", tmp_path / "notes.txt"
    mine.parent.mkdir()
    for number, path in ((1, mine), (2, other)):
        path.write_text("all went well")
        with house.scene.site.database.begin() as db:
            db.execute(update(versions).where(versions.c.number == number).values(log=str(path)))

    house.clean()

    assert (mine.exists(), other.exists()) == (False, True)


def test_the_old_one_of_a_fleet_that_is_kept_out_of_service_stays(house: House) -> None:
    """Not ended is enough, whatever the engine says."""
    house.scene.provider.memory.do(lambda world: world.instances.clear())

    assert house.why()["web/6"] == "2 instances run it in dev/web"


def test_what_runs_without_a_record_stays(house: House) -> None:
    order = replace(an_order("lost", version="web/2"), fleet=house.scene.key)
    house.scene.provider.launch(order)

    assert house.why()["web/2"] == "1 instance runs it in dev/web"


def test_what_something_else_uses_at_the_engine_stays(house: House) -> None:
    version = Catalog(house.scene.site.database).resolve(ImageRef.parse("web/2"))
    elsewhere = replace(house.scene.key, site="another", name="theirs")
    theirs = replace(an_order("theirs"), fleet=elsewhere, artifact=version.artifacts[0])
    house.scene.provider.launch(theirs)

    assert house.why()["web/2"] == "something at memory uses it, and no fleet does"
    assert house.going() == ["web/1", "web/3", "web/4", "web/7"]


def test_both_ends_of_a_rollout_that_has_not_ended_stay(house: House) -> None:
    house.scene.promote("web/7")
    bad = EngineUnreachable("memory says nothing.", remedy="Wait.")
    house.scene.clock.once(lambda: True, lambda: house.scene.provider.fail_next("launch", bad))
    with pytest.raises(Blocked):
        house.scene.roll()
    house.scene.promote("web/8")

    assert "web/7" in house.why()


def test_what_a_rollback_left_stays_while_its_fleet_is_pinned(house: House) -> None:
    house.scene.roll("web/7")
    house.scene.roll_back()
    house.scene.promote("web/8")

    assert house.why()["web/7"] == "dev/web was rolled back from it and is pinned"
    assert house.why()["web/6"] == "2 instances run it in dev/web"
    assert house.why()["web/5"] == "a rollback of dev/web would go to it"


def test_a_kept_one_stays_until_that_is_taken_back(house: House) -> None:
    def keep(because: str | None) -> bool:
        ref = ImageRef.parse("web/1")
        return retiring.keep(house.scene.site.database, ref, by="ann", because=because, at=NOW)

    assert keep("an audit")
    assert not keep("an audit")
    assert house.why()["web/1"] == "somebody keeps it: an audit"
    assert keep(None)
    assert "web/1" in house.going()
    verbs = [(d.verb, d.after) for d in deeds(house.scene.site.database, subject="web/1")]
    assert verbs[:2] == [("unkeep", ""), ("keep", "an audit")]


def test_only_a_version_that_is_there_can_be_kept(house: House) -> None:
    house.clean()
    database = house.scene.site.database

    for image, problem in (("web@stable", "is a channel"), ("web/99", "no image web/99")):
        with pytest.raises(ConfigurationError, match=problem):
            retiring.keep(database, ImageRef.parse(image), by="ann", because="x", at=NOW)
    with pytest.raises(Blocked, match="web/1 is retired"):
        retiring.keep(database, ImageRef.parse("web/1"), by="ann", because="x", at=NOW)


def test_a_retired_one_neither_launches_nor_comes_back(house: House) -> None:
    house.clean()
    catalog, ref = Catalog(house.scene.site.database), ImageRef.parse("web/1")

    with pytest.raises(Blocked, match="web/1 is retired"):
        catalog.launchable(ref)
    with pytest.raises(Blocked, match="web/1 is retired"):
        catalog.promote(ref, "stable", by="ann", because="", at=NOW)
    for state in (ImageState.ACTIVE, ImageState.REVOKED):
        with pytest.raises(Blocked, match="never launches again"):
            catalog.judge(ref, state, by="ann", because="x", at=NOW)


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
