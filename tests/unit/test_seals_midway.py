"""What somebody changes while a fleet is rolled out or looked after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from tests.builders import an_order
from tests.driving import Scene

from ovenbird.assembly.sealed import catalog_of
from ovenbird.care.tend import tend
from ovenbird.seals.keys import generate
from ovenbird.state.database import Database
from ovenbird.state.image_tables import versions
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import ImageRef, ImageState


def test_a_fleet_whose_image_was_changed_is_looked_after_and_launches_nothing(
    database: Database, tmp_path: Path
) -> None:
    scene = signed_scene(database, tmp_path)
    scene.roll()
    with database.begin() as db:
        db.execute(update(versions).values(seal=None))
    tend(scene.driver())  # which launches nothing, and so asks nothing
    gone_one, *_ = scene.tokens("web/2")
    scene.provider.exit(gone_one)
    launched = scene.asked("launch")

    with pytest.raises(Tampered, match="is not signed"):
        tend(scene.driver())

    assert scene.asked("launch") == launched
    assert scene.serving["web/2"] >= 2


def test_what_is_changed_in_the_middle_of_a_rollout_stops_it_and_is_no_fault_of_the_image(
    database: Database, tmp_path: Path
) -> None:
    scene = signed_scene(database, tmp_path)
    seals: dict[int, str] = {}

    def strip() -> None:
        with database.begin() as db:
            seals.update({row.id: row.seal for row in db.execute(select(versions))})
            db.execute(update(versions).values(seal=None))

    scene.clock.once(lambda: "web/2" in scene.running, strip)
    with pytest.raises(Tampered, match="web/2 is not signed"):
        scene.roll()
    assert sum(scene.serving.values()) >= 3
    with database.begin() as db:
        put_back(db, seals)

    scene.clock.forget()
    scene.roll()

    assert scene.serving == {"web/2": 3}


def test_an_image_that_is_revoked_in_the_middle_of_a_rollout_is_launched_no_more(
    database: Database, tmp_path: Path
) -> None:
    scene = signed_scene(database, tmp_path)
    catalog, ref = catalog_of(scene.driver().site), ImageRef.parse("web/2")

    def revoke() -> None:
        catalog.judge(ref, ImageState.REVOKED, by="ann", because="CVE", at=scene.clock.now())

    scene.clock.once(lambda: "web/2" in scene.running, revoke)
    with pytest.raises(Blocked, match="web/2 is revoked"):
        scene.roll()

    assert scene.running["web/2"] == 1
    version = catalog.resolve(ref)
    order = replace(
        an_order(version="web/2"), artifact=version.artifacts[0], contract=version.contract
    )
    with pytest.raises(Blocked, match="web/2 is revoked"):
        scene.driver().provider.launch(order)  # whoever forgot to ask before


def signed_scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, web/2 is what the channel means, and all of it is signed."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    site = scene.driver().site
    generate(site.folder, name="site")
    catalog_of(site).seal_all()
    return scene


def put_back(db: Connection, seals: dict[int, str]) -> None:
    for id_, seal in seals.items():
        db.execute(update(versions).where(versions.c.id == id_).values(seal=seal))
