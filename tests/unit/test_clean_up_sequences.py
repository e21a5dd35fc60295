"""Whatever has happened to a fleet: after a clean-up it goes where it would have gone before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select, update
from tests.cleaning import House, a_house
from tests.faults.house import add_images

from ovenbird.catalog import Catalog
from ovenbird.rollout import references
from ovenbird.rollout.goal import choose, choose_repair, choose_rollback
from ovenbird.rollout.reins import cancel
from ovenbird.state.database import Database
from ovenbird.state.tables import artifacts, versions
from ovenbird.values.errors import OvenbirdError
from ovenbird.values.image import ImageRef, ImageState
from ovenbird.values.instance import Verdict
from ovenbird.values.retention import Retention

EAGER = Retention(keep=1, min_age=timedelta(hours=1))


def goes_to(house: House) -> dict[str, str]:
    """Say what every verb would go to now, or why it would not."""
    told: dict[str, str] = {}
    for verb, chosen in (
        ("rollout", choose),
        ("rollback", choose_rollback),
        ("repair", choose_repair),
    ):
        try:
            found = chosen(house.scene.driver())
            told[verb] = str(found.goal) if found else "nowhere"
        except OvenbirdError as error:
            told[verb] = error.problem
    return told


def bake(house: House, number: int) -> str:
    """Register one more image, an hour later."""
    house.scene.clock.pass_by(3700)
    add_images(house.scene.site, 1)
    with house.scene.site.database.begin() as db:
        last = select(func.max(versions.c.id)).scalar_subquery()
        now = house.scene.clock.now()
        db.execute(update(versions).where(versions.c.id == last).values(baked_at=now))
        mine = artifacts.c.version_id == last
        db.execute(update(artifacts).where(mine).values(artifact=f"later-{number}"))
        found = db.execute(select(func.max(versions.c.number))).scalar_one()
    return f"web/{found}"


def happen(house: House, chance: Random, number: int) -> None:
    """Let one thing happen: good and bad rollouts, those cut short, rollbacks, revocations."""
    scene, catalog = house.scene, Catalog(house.scene.site.database)
    good = [v for v in catalog.versions("web") if v.launchable]

    def roll(image: str) -> None:
        scene.roll(image, retry=True)

    def bad() -> None:
        image = bake(house, number)
        scene.provider.becomes(image, Verdict.FAIL)
        roll(image)

    def cut_short() -> None:
        image = bake(house, number)
        scene.clock.once(lambda: True, lambda: cancel(scene.driver()))
        roll(image)

    def revoke() -> None:
        ref = ImageRef.parse(str(chance.choice(good)))
        catalog.judge(ref, ImageState.REVOKED, by="ann", because="CVE", at=scene.clock.now())

    deeds: list[Callable[[], object]] = [
        lambda: roll(bake(house, number)),
        lambda: roll(bake(house, number)),
        lambda: roll(str(chance.choice(good))),
        scene.roll_back,
        scene.roll_back,
        bad,
        cut_short,
        revoke,
        lambda: scene.driver().book.unpin(by="ann", because="mended", at=scene.clock.now()),
    ]
    with suppress(OvenbirdError):
        chance.choice(deeds)()
    scene.clock.forget()
    scene.clock.wake()


def play(house: House, seed: int) -> int:
    """Play six deeds, each followed by a clean-up that changes no answer; count what went."""
    eager = replace(house, store=replace(house.store, retention={"web": EAGER}, named={}))
    chance, gone = Random(seed), 0
    for number in range(6):
        happen(eager, chance, seed * 100 + number)
        eager.scene.clock.pass_by(3700)
        before, running = goes_to(eager), eager.scene.running
        gone += len(eager.clean(eager.plan(at_most=100)).deleted)
        assert goes_to(eager) == before
        assert eager.scene.running == running
        assert all(eager.held(int(image.removeprefix("web/"))) for image in running)
    return gone


@pytest.mark.parametrize("seed", range(8))
def test_a_clean_up_changes_nothing_of_where_a_fleet_goes(
    seed: int, database: Database, tmp_path: Path
) -> None:
    assert play(a_house(database, tmp_path), seed) >= 4


def test_it_would_where_nobody_asked_what_a_rollback_needs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_back", lambda *_: ())

    with pytest.raises(AssertionError, match="nothing to go back to"):
        play(a_house(database, tmp_path), 0)
