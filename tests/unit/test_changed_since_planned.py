"""A verb is planned, a person thinks about it, and meanwhile somebody else does something."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.acts import carry_out, quarantine, rebuild, scale
from ovenbird.care.removal import remove
from ovenbird.care.tend import tend
from ovenbird.catalog import Catalog
from ovenbird.config import load_fleets
from ovenbird.rollout import roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose, choose_repair
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.image import ImageRef, ImageState

CHANGED = "has changed since this was planned"


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/2, with web/1 to go back to."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.roll("web/2")
    return scene


@pytest.mark.parametrize("verb", ["scale", "rebuild", "quarantine"])
def test_a_verb_that_was_planned_before_a_rollback_launches_nothing(
    scene: Scene, verb: str
) -> None:
    ann, token = scene.driver(), scene.tokens("web/2")[0]
    wish = {
        "scale": lambda: scale(ann, 5, because=""),
        "rebuild": lambda: rebuild(ann, token, because=""),
        "quarantine": lambda: quarantine(ann, token, timedelta(hours=1), because="odd"),
    }[verb]()
    scene.roll_back()
    launched = len(scene.asked("launch"))
    with pytest.raises(Blocked, match=CHANGED) as told:
        carry_out(wish)
    tend(scene.driver())

    assert told.value.exit_code == 3
    assert scene.serving == {"web/1": 3}
    assert len(scene.asked("launch")) == launched
    assert scene.driver().book.standing().size is None


def test_no_verb_works_towards_a_size_that_holds_no_more(scene: Scene) -> None:
    ann, bob = scene.driver(), scene.driver()
    plans = [choose(ann, image="web/3"), choose_repair(bob)]
    carry_out(scale(scene.driver(), 5, because="a sale"))

    for setting, chosen in zip([ann, bob], plans, strict=True):
        assert chosen is not None
        with pytest.raises(Blocked, match=CHANGED):
            roll_out(setting, chosen, Outcome(before="", after=""))
    assert scene.serving == {"web/2": 5}


@pytest.mark.parametrize("killed", [False, True])
def test_no_older_wish_launches_anything_of_a_fleet_that_was_removed(
    scene: Scene, killed: bool
) -> None:
    wish = rebuild(scene.driver(), scene.tokens("web/2")[0], because="")
    if killed:
        scene.provider.fail_next("terminate", Killed())
        with pytest.raises(Killed):
            carry_out(remove(scene.driver(), because=""))
    else:
        carry_out(remove(scene.driver(), because=""))
    there, launched = scene.running, len(scene.asked("launch"))
    with pytest.raises(Blocked, match=CHANGED):
        carry_out(wish)

    assert (scene.running, len(scene.asked("launch"))) == (there, launched)


def test_what_has_to_end_ends_though_the_settled_image_is_revoked(scene: Scene) -> None:
    """The usual incident: a machine in quarantine, and its image revoked."""
    token = scene.tokens("web/2")[0]
    carry_out(quarantine(scene.driver(), token, timedelta(hours=1), because="odd logins"))
    catalog, ref = Catalog(scene.site.database), ImageRef.parse("web/2")
    catalog.judge(ref, ImageState.REVOKED, by="ann", because="a leak", at=scene.clock.now())
    carry_out(quarantine(scene.driver(), token, timedelta(minutes=1), because="seen enough"))
    assert token in scene.tokens("web/2")

    scene.clock.pass_by(120)
    tend(scene.driver())
    assert token not in scene.tokens("web/2")
    carry_out(scale(scene.driver(), 2, because=""))
    assert scene.serving == {"web/2": 2}
    with pytest.raises(Blocked, match="revoked"):
        scale(scene.driver(), 4, because="")
    scene.provider.exit(scene.tokens("web/2")[0])
    with pytest.raises(Blocked, match="revoked"):
        tend(scene.driver())


def test_a_removal_ends_what_a_killed_driver_had_in_the_air(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path)
    scene.provider.fail_next("launch", Killed())
    with pytest.raises(Killed):
        scene.roll()
    scene.clock.pass_by(120)
    carry_out(remove(scene.driver(), because=""))

    assert len(scene.asked("terminate")) == 1
    assert scene.driver().journal.in_the_air() == []


def test_two_fleets_whose_joined_names_are_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer/images.yml").write_text("families: {}\n")
    entry = "fleets: {%s: {image: web@stable, size: 1, provider: memory}}\n"
    for env, name in (("prod", "eu-db"), ("prod-eu", "db")):
        folder = tmp_path / "inventories" / env
        folder.mkdir(parents=True)
        (folder / "fleets.yml").write_text(entry % name)

    with pytest.raises(ConfigurationError) as refused:
        load_fleets(tmp_path, "prod")

    told = " ".join(fault.problem for fault in refused.value.faults)
    assert "prod/eu-db and prod-eu/db would share a name" in told
