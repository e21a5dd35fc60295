"""What was changed by hand is found from outside and replaced; what no hand did is only told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.builders import an_inventory
from tests.driving import Killed, Scene

from ovenbird.care.acts import carry_out
from ovenbird.care.drift import Survey, survey
from ovenbird.care.give_up import give_up
from ovenbird.care.tend import tend
from ovenbird.fleet.drift import Bucket
from ovenbird.provider.memory import MemoryProvider
from ovenbird.state.database import Database
from ovenbird.state.tables import changes, instances, versions
from ovenbird.values.errors import EngineUnreachable
from ovenbird.values.image import ImageRef, ImageState, StopPolicy
from ovenbird.values.instance import Change

X = "/etc/x"


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    return scene


def look(scene: Scene, *writable: str) -> Survey:
    return survey(scene.driver(), writable=writable)


def buckets(found: Survey) -> list[Bucket]:
    return sorted(finding.bucket for finding in found.findings)


def write_in_all(scene: Scene, path: str) -> None:
    for token in scene.tokens("web/1"):
        scene.provider.write(token, path)


# What is found.


def test_a_fleet_that_nobody_touched_is_current(scene: Scene) -> None:
    asked = scene.provider.asked
    found = look(scene)

    assert buckets(found) == [Bucket.CURRENT] * 3
    assert not found.undeclared
    assert scene.provider.asked == asked, "a look changes nothing"


def test_one_that_was_changed_by_hand_is_drifted_since_then(scene: Scene) -> None:
    token = scene.tokens("web/1")[1]
    scene.provider.write(token, X)
    at = scene.clock.now()
    scene.clock.pass_by(60)
    (drifted,) = look(scene).given_up

    assert (drifted.token, drifted.bucket) == (token, Bucket.DRIFTED)
    (change,) = drifted.drift
    assert (change.path, change.at, change.by) == (X, at, scene.clock.now())


def test_what_is_first_seen_is_younger_than_the_look_before(scene: Scene) -> None:
    token, before = scene.tokens("web/1")[0], scene.clock.now()
    look(scene)
    scene.clock.pass_by(60)
    scene.provider.write(token, X)
    (change,) = look(scene).given_up[0].drift
    seen = scene.clock.now()
    scene.clock.pass_by(60)
    (again,) = look(scene).given_up[0].drift

    assert (change.after, change.by) == (before, seen)
    assert again.by == seen, "the first sight counts"


def test_what_the_image_or_its_family_allows_is_no_drift(scene: Scene) -> None:
    tokens = scene.tokens("web/1")
    with scene.site.database.begin() as db:
        db.execute(update(versions).values(ambient=["/etc/machine-id"]))
    scene.provider.write(tokens[0], "/etc/machine-id")
    scene.provider.write(tokens[1], "/var/log/nginx/access.log")

    assert buckets(look(scene, "/var/log/nginx")) == [Bucket.CURRENT] * 3
    assert look(scene).count(Bucket.DRIFTED) == 1


def test_an_older_image_learns_what_changes_by_itself_when_it_is_proven_again(
    scene: Scene,
) -> None:
    catalog, version = scene.driver().catalog, ImageRef.parse("web/1")
    write_in_all(scene, "/etc/machine-id")
    before = look(scene)
    catalog.learn(
        catalog.resolve(version),
        provider="memory",
        ambient=["/etc/machine-id"],
        inventory=an_inventory(),
    )

    assert [each.path for each in before.undeclared] == ["/etc/machine-id"]
    assert not look(scene).undeclared
    assert catalog.resolve(version).ambient == ("/etc/machine-id",)


def test_what_runs_another_image_or_a_revoked_one_is_told_so(scene: Scene) -> None:
    def die() -> None:
        raise Killed

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, die)
    with pytest.raises(Killed):
        scene.roll("web/2")
    during = look(scene)
    revoked, now = ImageRef.parse("web/1"), scene.clock.now()
    scene.driver().catalog.judge(
        revoked, ImageState.REVOKED, by="ann", because="CVE-2026-1", at=now
    )
    after = look(scene)

    assert during.count(Bucket.CURRENT) == len(during.findings), "both goals are wanted"
    assert after.count(Bucket.REVOKED) == scene.running["web/1"]
    assert all("CVE-2026-1" in finding.because for finding in after.given_up)


def test_one_that_stands_in_no_record_is_unowned_and_not_asked(scene: Scene) -> None:
    with scene.site.database.begin() as db:
        one = db.execute(select(instances.c.token).limit(1)).scalar_one()
        db.execute(instances.delete().where(instances.c.token == one))
    found = look(scene)

    (unowned,) = [f for f in found.findings if f.bucket is Bucket.UNOWNED]
    assert (unowned.token, unowned.because) == (one, "stands in no record here")
    assert not found.given_up


def test_one_that_the_engine_does_not_answer_for_is_unknown_and_not_clean(scene: Scene) -> None:
    scene.provider.fail_next("changes", EngineUnreachable("It is busy.", remedy="Wait."))
    found = look(scene)

    assert found.count(Bucket.UNKNOWN) == 1
    assert "It is busy." in [finding.because for finding in found.findings]


class Vanishing(MemoryProvider):
    """An engine that loses an instance while it is asked about it."""

    def changes(self, token: str) -> Collection[Change]:
        self.terminate(token, stop=StopPolicy())
        return super().changes(token)


def test_one_that_vanishes_while_it_is_looked_at_is_not_clean(scene: Scene) -> None:
    vanishing = Vanishing(site=scene.site.id, memory=scene.provider.memory, clock=scene.clock)
    found = survey(scene.driver(provider=vanishing), writable=())

    assert buckets(found) == [Bucket.UNKNOWN] * 3
    assert {finding.because for finding in found.findings} == {"it went away meanwhile"}


def test_a_lost_one_is_lost_and_not_asked(scene: Scene) -> None:
    scene.provider.lose(scene.tokens("web/1")[0])
    scene.clock.pass_by(scene.fleet.health.lost_after + 1)

    assert look(scene).count(Bucket.LOST) == 1


def test_an_empty_fleet_has_nothing_to_find(database: Database, tmp_path: Path) -> None:
    found = look(Scene.of(database, tmp_path))

    assert (found.findings, found.undeclared, found.given_up) == ((), (), ())


# What is repaired.


def test_what_has_drifted_is_replaced_by_the_settled_image(scene: Scene) -> None:
    scene.promote("web/2")
    token, mark = scene.tokens("web/1")[0], scene.provider.mark()
    scene.provider.write(token, X)
    carry_out(give_up(look(scene)))

    assert scene.serving == scene.running == {"web/1": 3}
    assert token not in scene.tokens("web/1")
    assert scene.provider.lowest_serving_since(mark, scene.key) == 3
    assert buckets(look(scene)) == [Bucket.CURRENT] * 3
    kept = next(deed for deed in scene.history if deed.verb == "drift")
    assert (kept.before, kept.after) == (f"{token} web/1", f"drifted: {X}")
    with scene.site.database.begin() as db:
        row = db.execute(select(changes).where(changes.c.path == X)).one()
    assert (row.token, row.repaired_at is not None) == (token, True)


def test_the_bad_image_of_a_rollback_is_not_what_a_repair_launches(scene: Scene) -> None:
    scene.roll("web/2")
    scene.roll_back()
    scene.provider.write(scene.tokens("web/1")[0], X)
    carry_out(give_up(look(scene)))

    assert scene.running == {"web/1": 3}


def test_a_killed_repair_is_finished_by_tend(scene: Scene) -> None:
    token = scene.tokens("web/1")[0]
    scene.provider.write(token, X)
    wish = give_up(look(scene))

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: True, die)
    with pytest.raises(Killed):
        carry_out(wish)
    scene.clock.pass_by(600)
    tend(scene.driver())

    assert token not in scene.tokens("web/1")
    assert scene.serving == {"web/1": 3}


def test_in_quarantine_it_is_out_of_service_and_aside(scene: Scene) -> None:
    token = scene.tokens("web/1")[0]
    scene.provider.write(token, X)
    carry_out(give_up(look(scene), quarantine=timedelta(hours=1)))
    found = look(scene)

    assert scene.serving == {"web/1": 3}
    assert token in scene.tokens("web/1")
    (held,) = [finding for finding in found.findings if finding.token == token]
    assert (held.bucket, held.is_given_up) == (Bucket.DRIFTED, False)
    assert held.aside.startswith("in quarantine until ")
    assert found.count(Bucket.DRIFTED) == 0
    scene.clock.pass_by(3601)
    tend(scene.driver())
    assert token not in scene.tokens("web/1")


def test_a_fleet_of_one_is_repaired_once_and_then_told(database: Database, tmp_path: Path) -> None:
    scene = Scene.of(database, tmp_path, size=1)
    scene.roll("web/1")
    scene.provider.write(scene.tokens("web/1")[0], X)
    carry_out(give_up(look(scene)))
    scene.clock.pass_by(60)
    scene.provider.write(scene.tokens("web/1")[0], X)
    found = look(scene)

    assert not found.given_up
    ((path, again),) = [(each.path, each.again) for each in found.undeclared]
    assert (path, again) == (X, True)


# What is undeclared.


def test_what_every_instance_writes_is_undeclared_and_nothing_is_replaced(scene: Scene) -> None:
    for n in range(8):
        write_in_all(scene, f"/var/cache/app/{n}")
    found = look(scene)

    assert not found.given_up
    assert [(u.path, len(u.tokens)) for u in found.undeclared] == [("/var/cache/app", 3)]
    assert buckets(found) == [Bucket.CURRENT] * 3


def test_drift_beside_what_is_undeclared_is_repaired(scene: Scene) -> None:
    write_in_all(scene, "/var/cache/app")
    token = scene.tokens("web/1")[0]
    scene.provider.write(token, X)

    assert [finding.token for finding in look(scene).given_up] == [token]
