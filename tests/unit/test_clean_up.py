"""A clean-up leaves what anybody needs, and deletes the rest whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.builders import NOW, an_order
from tests.cleaning import House, a_house

from ovenbird.care.tend import tend
from ovenbird.catalog import Catalog, retiring
from ovenbird.rollout.reins import cancel
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.state.tables import versions
from ovenbird.values.errors import (
    Blocked,
    ConfigurationError,
    EngineUnreachable,
)
from ovenbird.values.image import ImageRef, ImageState, StopPolicy


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return a_house(database, tmp_path)


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


def test_behind_a_rollback_target_that_its_engine_has_lost_the_one_before_stays(
    house: House,
) -> None:
    house.scene.roll("web/7")
    assert house.why()["web/6"] == "a rollback of dev/web would go to it"
    assert "web/5" in house.going()

    house.scene.provider.memory.do(lambda world: world.deleted.add("m-6"))

    assert house.why()["web/5"] == "a rollback of dev/web would go to it"
    house.clean()
    house.scene.roll_back()
    assert house.scene.serving == {"web/5": 2}


def test_what_a_cancelled_rollout_was_going_to_stays_until_another_has_arrived(
    house: House,
) -> None:
    house.scene.promote("web/7")
    house.scene.clock.once(lambda: True, lambda: cancel(house.scene.driver()))
    with pytest.raises(Blocked, match="cancelled"):
        house.scene.roll()
    for token in house.scene.tokens("web/7"):
        house.scene.provider.terminate(token, stop=StopPolicy(timeout=0))
    tend(house.scene.driver())
    house.scene.promote("web/8")

    assert house.why()["web/7"] == "a rollout of dev/web has not arrived"

    house.scene.roll("web/6")

    assert "web/7" in house.going()
