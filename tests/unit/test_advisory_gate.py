"""A rollout and a promotion that advisories stop, and those that they never stop."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.builders import NOW
from tests.driving import Scene

from ovenbird.assembly.advising import look, require_promotable
from ovenbird.catalog import Catalog
from ovenbird.catalog.inventory import keep
from ovenbird.rollout.goal import choose
from ovenbird.rollout.intent import foresee
from ovenbird.state.database import Database
from ovenbird.state.tables import versions
from ovenbird.values.errors import Blocked, ConfigurationError, GoalFailed, Inconclusive
from ovenbird.values.image import ImageRef
from ovenbird.values.instance import Goal
from ovenbird.values.package import Inventory, Package

GATED = """\
sources: [{debian_tracker: data.json, release: bookworm}]
gates: {dev: {severity: high, fixable: true}, production: {severity: high, fixable: true}}
"""


class House:
    """A project beside the scene's site, with a tracker's data and lists of packages."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.project = scene, scene.site.folder / "here"
        (self.project / "inventories" / "bake").mkdir(parents=True)
        self.write("inventories/advisories.yml", GATED)
        self.tracker(fixed_in="3.0.15-1")
        self.contains("web/1", "3.0.11-1")
        self.contains("web/2", "3.0.11-1")

    def write(self, file: str, text: str) -> None:
        (self.project / file).write_text(text)

    def tracker(self, *, fixed_in: str, name: str = "CVE-2026-0001") -> None:
        release = {"status": "resolved", "fixed_version": fixed_in, "urgency": "high"}
        entry = {"description": "A buffer overflow.", "releases": {"bookworm": release}}
        self.write("data.json", json.dumps({"openssl": {name: entry}}))

    def contains(self, image: str, version: str) -> None:
        package = Package(
            name="libssl3",
            version=version,
            architecture="amd64",
            source="openssl",
            source_version=version,
        )
        ref = ImageRef.parse(image)
        inventory = Inventory(packages=(package,), read_at=NOW)
        row = select(versions.c.id).where(versions.c.family == ref.family)
        with self.scene.site.database.begin() as db:
            id_ = db.execute(row.where(versions.c.number == ref.version)).scalar_one()
            keep(db, id_, inventory, provider="memory")

    def excuse(self, *, expires: str) -> None:
        self.write(
            "inventories/bake/exceptions.yml",
            "exceptions:\n  - {advisory: CVE-2026-0001, reason: not reachable, owner: ann, "
            f"expires: {expires}}}\n",
        )


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    """Three of web/1 serve, which was rolled out before there was a gate; web/2 is next."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return House(scene)


def test_a_rollout_of_an_image_that_its_gate_stops_touches_nothing(house: House) -> None:
    asked = list(house.scene.provider.asked)

    with pytest.raises(Blocked, match=r"web/2 may not go to .*dev/web: it has 1 advisory") as told:
        house.scene.roll()

    assert told.value.exit_code == 3
    assert told.value.evidence == ("CVE-2026-0001 (high) openssl 3.0.11-1: fixed in 3.0.15-1")
    for way in ("invoke bake web --refresh", "inventories/bake/exceptions.yml", "--emergency"):
        assert way in told.value.remedy
    assert house.scene.provider.asked == asked
    assert house.scene.driver().journal.unfinished() is None


def test_a_plan_tells_what_the_gate_will_stop(house: House) -> None:
    setting = house.scene.driver()
    house.scene.promote("web/2")

    assert "web/2 may not go to" in foresee(setting, choose(setting)).text
    assert "may not go to" not in foresee(setting, choose(setting), emergency=True).text


def test_a_rollout_of_an_image_with_the_fix_goes(house: House) -> None:
    house.contains("web/2", "3.0.15-1")

    assert house.scene.roll().outcome == "done"
    assert house.scene.running == {"web/2": 3}


def test_an_emergency_asks_no_advisory(house: House) -> None:
    (house.project / "data.json").unlink()

    outcome = house.scene.roll(emergency=True, because="worse without it")

    assert outcome.outcome == "done"


def test_a_rollback_is_stopped_by_no_advisory(house: House) -> None:
    house.scene.roll(emergency=True, because="worse without it")

    assert house.scene.roll_back().outcome == "done"
    assert house.scene.running == {"web/1": 3}


def test_the_image_that_serves_already_may_get_other_launch_data(house: House) -> None:
    house.scene.promote("web/1")

    assert house.scene.roll().outcome == "done"


def test_a_rollout_that_has_begun_is_finished_whatever_is_known_since(house: House) -> None:
    scene = house.scene
    house.contains("web/2", "3.0.15-1")

    def become_known() -> None:
        house.tracker(fixed_in="3.0.16-1")
        raise KeyboardInterrupt

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, become_known)
    with pytest.raises(KeyboardInterrupt):
        scene.roll()

    assert scene.roll().outcome == "done"
    assert scene.running == {"web/2": 3}


def test_an_exception_lets_it_pass_until_its_day(house: House) -> None:
    house.excuse(expires="2026-12-24")

    assert house.scene.roll().outcome == "done"


def test_an_exception_whose_day_is_over_is_a_fault_and_no_rollout_begins(house: House) -> None:
    house.excuse(expires="2026-11-21")

    with pytest.raises(ConfigurationError, match=r"exceptions.yml:2: .*ended on 2026-11-21"):
        house.scene.roll()

    assert house.scene.running == {"web/1": 3}


@pytest.mark.parametrize("how", ["missing", "broken", "old"])
def test_without_data_a_rollout_is_inconclusive(how: str, house: House) -> None:
    data = house.project / "data.json"
    if how == "missing":
        data.unlink()
    elif how == "broken":
        data.write_text("<html>")
    else:
        then = (NOW - timedelta(days=8)).timestamp()
        os.utime(data, (then, then))

    with pytest.raises(Inconclusive, match=r"data\.json") as told:
        house.scene.roll()

    assert told.value.exit_code == 4
    assert "--emergency" in told.value.remedy
    assert house.scene.running == {"web/1": 3}


def test_an_image_without_a_list_of_packages_is_inconclusive(house: House) -> None:
    house.scene.promote("web/3")

    with pytest.raises(Inconclusive, match="not known what is inside web/3") as told:
        house.scene.roll()

    assert "invoke prove web/3" in told.value.remedy


def test_a_gate_of_another_environment_stops_nothing_here(house: House) -> None:
    house.write("inventories/advisories.yml", GATED.replace("dev:", "staging:"))

    assert house.scene.roll().outcome == "done"


def promote(house: House, image: str, channel: str) -> None:
    site = house.scene.site
    version = Catalog(site.database).resolve(ImageRef.parse(image))
    require_promotable(house.project, site, version, channel)


def test_a_promotion_is_stopped_by_the_gate_of_its_channel_alone(house: House) -> None:
    promote(house, "web/2", "stable")
    with pytest.raises(Blocked, match="web/2 may not go to web@production") as told:
        promote(house, "web/2", "production")

    assert "CVE-2026-0001" in told.value.evidence
    assert "--emergency" not in told.value.remedy


def test_a_promotion_of_what_nobody_looked_into_is_inconclusive(house: House) -> None:
    with pytest.raises(Inconclusive, match="web/3"):
        promote(house, "web/3", "production")


def test_all_that_is_in_use_is_looked_at_and_again_when_the_data_changes(house: House) -> None:
    site = house.scene.site

    first = look(house.project, site)
    again = look(house.project, site)
    house.tracker(fixed_in="3.0.15-1", name="CVE-2026-0002")
    changed = look(house.project, site)

    assert [(str(one.version), one.where) for one in first.images] == [
        ("web/2", ("@stable",)),
        ("web/1", ("dev/web",)),
    ]
    assert [len(one.stopped) for one in first.images] == [0, 1], "the channel has no gate"
    assert (first.unchanged_since, again.digest) == ("", first.digest)
    assert again.unchanged_since
    assert changed.unchanged_since == ""
    assert [a.advisory.id for a in changed.images[0].affected] == ["CVE-2026-0002"]


def test_an_image_that_nothing_is_known_of_is_told_beside_the_others(house: House) -> None:
    house.scene.promote("web/3")

    images = {str(one.version): one for one in look(house.project, house.scene.site).images}

    assert "not known what is inside" in images["web/3"].problem
    assert images["web/1"].stopped


def test_the_goal_is_not_written_down_as_bad(house: House) -> None:
    """Nothing is wrong with it that --retry would have to forgive."""
    with pytest.raises(Blocked):
        house.scene.roll()
    house.tracker(fixed_in="3.0.11-1")

    try:
        assert house.scene.roll().outcome == "done"
    except GoalFailed:
        pytest.fail("it was refused although the advisory is gone")
    settled = house.scene.driver().book.standing().settled
    assert isinstance(settled, Goal)
    assert settled.version == "web/2"
