"""A site whose images may go, and what a test asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update
from tests.builders import NOW
from tests.driving import Scene
from tests.faults.house import add_images

from ovenbird.care.clean_up import Done, Plan, clean_up, plan
from ovenbird.care.store import Store
from ovenbird.catalog import Catalog
from ovenbird.console import Console
from ovenbird.state.database import Database
from ovenbird.state.tables import artifacts, versions
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


def a_house(database: Database, folder: Path) -> House:
    """Make a fleet that runs web/6 and would go back to web/5, beside web/1 to web/10."""
    scene = Scene.of(database, folder, size=2)
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
