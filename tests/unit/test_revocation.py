"""After a revocation: which fleets run it, which engines hold it, and what to type."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.builders import NOW
from tests.driving import Scene

from ovenbird.assembly.holding import Holding
from ovenbird.catalog import Catalog
from ovenbird.console import Console
from ovenbird.report.revoked import Aftermath, Holder, Struck, aftermath_of
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.state.tables import artifacts, versions
from ovenbird.tasks.image_revoke import document, tell
from ovenbird.values.errors import Blocked, EngineUnreachable
from ovenbird.values.image import Artifact, ImageRef, ImageState, Version


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Two of web/2 serve, and web/3 is what the channel means."""
    scene = Scene.of(database, tmp_path, size=2)
    scene.roll("web/2")
    scene.promote("web/3")
    return scene


def revoke(scene: Scene, *images: str) -> Aftermath:
    catalog = Catalog(scene.site.database)
    judged: list[Version] = []
    for image in images:
        judged += catalog.judge(
            ImageRef.parse(image),
            ImageState.REVOKED,
            by="ann",
            because="CVE-2026-1",
            at=scene.clock.now(),
        )
    return aftermath_of(scene.site.database, judged, holds=scene.provider.present)


def told(aftermath: Aftermath) -> str:
    said = io.StringIO()
    tell(aftermath, Console(err=said, out=said))
    return said.getvalue()


def test_it_names_every_fleet_that_runs_one_and_the_way_forward(scene: Scene) -> None:
    scene.beside("shop").roll()

    aftermath = revoke(scene, "web/2")

    assert aftermath.struck == (
        Struck(
            env="dev",
            name="web",
            image="web/2",
            running=2,
            settled=True,
            good="web/4",
            remedy="invoke rollout web --env dev --image web/4",
        ),
    )
    assert told(aftermath) == (
        "‣ web/2 is revoked: CVE-2026-1\n"
        "‣ dev/web: 2 instances run web/2, and it has settled on web/2\n"
        "  invoke rollout web --env dev --image web/4\n"
        "‣ memory still holds web/2, which can be started by hand there\n"
        "‣ The newest good image of web is web/4\n"
    )


def test_an_older_good_one_is_gone_back_to(scene: Scene) -> None:
    aftermath = revoke(scene, "web/2", "web/3", "web/4")

    assert [fleet.remedy for fleet in aftermath.struck] == [
        "invoke rollback web --env dev --image web/1"
    ]
    assert "‣ web@stable still points at web/3\n  invoke image.promote web/1 stable" in told(
        aftermath
    )


def test_the_command_that_it_proposes_works(scene: Scene) -> None:
    revoke(scene, "web/2")
    scene.promote("web/4")

    scene.roll()

    assert scene.serving == {"web/4": 2}


def test_where_nothing_good_is_left_it_says_so(scene: Scene) -> None:
    aftermath = revoke(scene, "web/1", "web/2", "web/3", "web/4")

    assert dict(aftermath.good) == {"web": ""}
    said = told(aftermath)
    assert "There is nothing good to go to. Bake it: invoke bake web --on memory" in said
    assert "No good image of web is left. Bake one: invoke bake web" in said


def test_what_was_baked_on_it_is_told_with_its_fleets(scene: Scene) -> None:
    with scene.site.database.begin() as db:
        db.execute(update(versions).where(versions.c.number == 2).values(parent_id=1))

    aftermath = revoke(scene, "web/1")

    assert [str(v) for v in aftermath.revoked] == ["web/1", "web/2"]
    assert [(fleet.name, fleet.image) for fleet in aftermath.struck] == [("web", "web/2")]
    assert aftermath.holders == (Holder(engine="memory", images=("web/1", "web/2")),)


def test_a_fleet_of_which_nothing_runs_would_still_launch_it(scene: Scene) -> None:
    scene.provider.memory.do(lambda world: world.instances.clear())
    empty = scene.wanting(size=0)
    empty.roll("web/2")

    assert "dev/web: it has settled on web/2" in told(revoke(scene, "web/2"))


def test_a_good_one_that_the_engine_of_a_fleet_lacks_is_not_proposed(scene: Scene) -> None:
    with scene.site.database.begin() as db:
        db.execute(update(artifacts).where(artifacts.c.version_id == 4).values(provider="lxd"))

    (fleet,) = revoke(scene, "web/2").struck

    assert fleet.good == "web/3"


def test_an_engine_that_does_not_answer_may_hold_it(scene: Scene, tmp_path: Path) -> None:
    def silent(_: Artifact) -> bool:
        raise EngineUnreachable("memory says nothing.", remedy="Wait.")

    revoked = revoke(scene, "web/2").revoked
    said = told(aftermath_of(scene.site.database, revoked, holds=silent))
    assert "‣ memory may still hold web/2: memory says nothing.\n" in said

    outside = Holding(tmp_path, scene.site)
    said = told(aftermath_of(scene.site.database, revoked, holds=outside))
    assert "memory may still hold web/2" in said
    assert "lies in no Ovenbird project" in said


def test_what_is_deleted_at_its_engine_can_be_started_by_nobody(scene: Scene) -> None:
    version = Catalog(scene.site.database).resolve(ImageRef.parse("web/1"))
    scene.provider.delete(version.artifacts[0])

    aftermath = revoke(scene, "web/1")

    assert aftermath.holders == ()
    assert "No fleet runs one of them" in told(aftermath)


def test_its_document_has_the_same(scene: Scene) -> None:
    shown = json.loads(json.dumps(document(revoke(scene, "web/2"))))

    assert shown == {
        "revoked": [{"image": "web/2", "because": "CVE-2026-1"}],
        "fleets": [
            {
                "env": "dev",
                "name": "web",
                "image": "web/2",
                "running": 2,
                "settled": True,
                "good": "web/4",
                "remedy": "invoke rollout web --env dev --image web/4",
            }
        ],
        "engines": [{"engine": "memory", "images": ["web/2"], "problem": ""}],
        "channels": [],
        "good": {"web": "web/4"},
    }


# At the same moment.


def at_once(*deeds: Callable[[], object]) -> list[object]:
    """Do all of them in threads that begin together; return what each came to."""
    gate = threading.Barrier(len(deeds))
    came: dict[int, object] = {}

    def run(number: int, deed: Callable[[], object]) -> None:
        gate.wait()
        try:
            came[number] = deed()
        except Blocked as blocked:
            came[number] = blocked

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [came[number] for number in range(len(deeds))]


@pytest.fixture
def two(database: Database, tmp_path: Path) -> tuple[Catalog, Catalog]:
    """Two operators of one site with web/1 to web/4; each thread has a connection of its own."""
    Scene.of(database, tmp_path)
    return Catalog(database), Catalog(database)


def promote(catalog: Catalog, image: str) -> str:
    ref = ImageRef.parse(image)
    return str(catalog.promote(ref, "stable", by="ann", because="", at=NOW))


def test_of_two_promotions_at_once_one_is_the_last_and_both_stand_in_the_history(
    two: tuple[Catalog, Catalog], database: Database
) -> None:
    one, other = two
    for _ in range(10):
        at_once(lambda: promote(one, "web/1"), lambda: promote(other, "web/2"))
        last, before, *_ = deeds(database, subject="web@stable")
        assert {last.after, before.after} == {"web/1", "web/2"}
        assert last.before == before.after
        assert str(one.resolve(ImageRef.parse("web@stable"))) == last.after


def test_a_channel_is_never_moved_to_what_is_revoked_already(
    two: tuple[Catalog, Catalog],
) -> None:
    one, other = two
    for _ in range(10):
        one.judge(ImageRef.parse("web/3"), ImageState.ACTIVE, by="ann", because="x", at=NOW)
        promote(one, "web/1")
        moved, judged = at_once(
            lambda: promote(one, "web/3"),
            lambda: other.judge(
                ImageRef.parse("web/3"), ImageState.REVOKED, by="bob", because="CVE", at=NOW
            ),
        )
        assert isinstance(judged, tuple)
        refused = isinstance(moved, Blocked)
        points_at = str(one.resolve(ImageRef.parse("web@stable")))
        assert points_at == ("web/1" if refused else "web/3")
        # Moved first, so the revocation saw it, and told the channel.
        assert ("stable" in judged[0].channels) is not refused
        with pytest.raises(Blocked, match="web/3 is revoked"):
            promote(one, "web/3")
