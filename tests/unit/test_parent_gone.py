"""A bake that has waited for its turn looks at its parent again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest
from tests.builders import NOW
from tests.driving import Scene
from tests.unit.test_configuration import BASE, a_project

from ovenbird import bake, config
from ovenbird.bake import upkeep
from ovenbird.bake.bakery import Bakery, Wish
from ovenbird.bake.oven import Oven
from ovenbird.catalog import Catalog, retiring
from ovenbird.clock import SystemClock
from ovenbird.console import Console
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked
from ovenbird.values.family import BakeEnvironment
from ovenbird.values.image import ImageRef, ImageState

APP = """  app:
    parent: base
    playbook: playbooks/base.yml
"""


class Cold:
    """An oven that nothing may reach."""

    name = "memory"


@pytest.mark.parametrize("state", [ImageState.RETIRED, ImageState.REVOKED])
def test_what_was_retired_or_revoked_meanwhile_is_no_parent(
    state: ImageState, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene.of(database, tmp_path)
    project = a_project(tmp_path / "project", images=BASE + APP, fleets="fleets: {}\n")
    (project / "playbooks/seal.yml").write_text("- hosts: bake\n  roles: []\n")
    catalog, families = Catalog(database), config.load_families(project)
    parent = catalog.resolve(ImageRef.parse("web/2"))
    bakery = Bakery(
        project=project,
        site=scene.site,
        families=families,
        variables={},
        environment=BakeEnvironment(),
        catalog=catalog,
        oven=cast(Oven, Cold()),
        provider=scene.provider,
        clock=SystemClock(),
        console=Console(err=io.StringIO()),
        by="ann",
    )
    if state is ImageState.RETIRED:
        with database.begin() as db:
            retiring.retire(db, parent, by="bob", because="old", at=NOW)
    else:
        catalog.judge(ImageRef.parse("web/2"), state, by="bob", because="old", at=NOW)
    reached = list[str]()
    monkeypatch.setattr(upkeep, "clean_after_the_dead", lambda _: reached.append("the engine"))

    with pytest.raises(Blocked, match=f"web/2 is {state}: old"):
        bake._bake_one(families["app"], parent, bakery, Wish())

    assert reached == []
