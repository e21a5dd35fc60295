"""The night's work on real engines: an archive gets an update, and two environments get it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from configparser import RawConfigParser
from datetime import timedelta
from pathlib import Path

import pytest
from tests.archive import Archive
from tests.project import Project

from ovenbird import process

pytestmark = pytest.mark.xdist_group("patched")

BREAD, SALT = "ovb-bread", "ovb-salt"
PLAIN, SECURITY = "bakery", "bakery-security"
DEBIAN = "- deb http://deb.debian.org"
FLEET = {
    "size": 2,
    "launch": {"config": {"greeting": "hello"}, "secrets": {"token": "file:token"}},
    "limits": {"max_surge": 1, "max_unavailable": 0},
    "health": {"http": "/healthz", "passes": 1, "interval": "0.2s", "min_healthy_time": "0.2s"},
}
PATCH = {
    "path": [{"env": "dev"}, {"env": "staging"}],
    "rules": {"default": {"security": "at_once", "all": "weekly", "max_age": "30d"}},
    "metrics": "ovenbird.prom",
}


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    # apt reads keys as a user of its own, who gets into no folder of pytest's.
    folder = Path(tempfile.mkdtemp(prefix="ovenbird-archive-"))
    folder.chmod(0o755)
    with Archive(folder) as served:
        for name in (BREAD, SALT):
            served.put(name, "1.0", suite=PLAIN)
        served.publish(PLAIN)
        served.publish(SECURITY)
        yield served
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose base has both packages, and whose web runs in dev and staging."""
    home = tmp_path_factory.mktemp("patched")
    project = Project.copied(home / "project", site=home / "site")
    project.rewrite_families(
        {
            "python3, ca-certificates]": f"python3, ca-certificates, {BREAD}, {SALT}]",
            DEBIAN: "- deb [check-valid-until=no] http://deb.debian.org",
            "    playbook: playbooks/base.yml": f"      - {archive.source(PLAIN)}\n"
            f"      - {archive.source(SECURITY)}\n    playbook: playbooks/base.yml",
        }
    )
    (project.folder / "inventories/bake/environment.yml").write_text('mirror: ""\n')
    (project.folder / "inventories/patch.yml").write_text(json.dumps(PATCH))
    (project.folder / "token").write_text("s3cr3t")
    for env in ("dev", "staging"):
        project.declare(env, {"patched": {"image": f"web@{env}", **FLEET}})
    try:
        yield project
    finally:
        project.close()


def test_an_update_is_found_baked_proven_and_rolled_out_and_the_nights_around_it_do_nothing(
    project: Project, archive: Archive
) -> None:
    project.run("patch", "--yes")
    assert images_of(project) == ["base/1", "web/1"], "there was none"
    quiet(project)

    archive.put(BREAD, "1.1", suite=SECURITY)
    archive.publish(SECURITY)
    (stale,) = [
        image for image in project.document("image.stale")["images"] if image["image"] == "web/1"
    ]
    assert [(u["package"], u["from"], u["to"], u["security"]) for u in stale["updates"]] == [
        (BREAD, "1.0", "1.1", True)
    ]
    assert project.run("image.stale", "--check", code=6).code == 6
    rehearsed = project.run("patch", "--dry-run").stderr
    assert "would bake it: 1 update for security" in rehearsed
    assert "would roll staging/patched to web/2" in rehearsed
    assert images_of(project) == ["base/1", "web/1"], "a rehearsal does nothing"

    said = scheduled(project)
    assert said.index("Baking base") < said.index("Baking web from base/2")
    assert images_of(project) == ["base/1", "base/2", "web/1", "web/2"]
    for env in ("dev", "staging"):
        (fleet,) = project.document("status", "--env", env)["fleets"]
        serving = fleet["instances"]
        assert {each["image"] for each in serving} == {"web/2"}
        assert len(serving) == 2
    changed = project.document("image.diff", "web/1", "web/2")
    assert [(c["name"], c["before"], c["after"]) for c in changed["packages"]] == [
        (BREAD, "1.0", "1.1")
    ]
    metrics = (project.folder / "ovenbird.prom").read_text()
    assert 'ovenbird_image_updates{family="web",image="web/2",security="yes"} 0.0' in metrics
    quiet(project)


def test_what_cannot_be_trusted_is_inconclusive_and_never_nothing_to_do(
    project: Project, archive: Archive
) -> None:
    archive.stop()
    try:
        for words in (("patch", "--yes"), ("image.stale",)):
            assert "cannot be read" in project.run(*words, code=4).stderr
    finally:
        archive.start()

    index = archive.folder / f"dists/{PLAIN}/InRelease"
    good = index.read_bytes()
    index.write_bytes(good.replace(b"Origin: Bakery", b"Origin: Robbery"))
    for words in (("patch", "--yes"), ("image.stale", "--check")):
        assert "is signed badly" in project.run(*words, code=4).stderr
    archive.publish(PLAIN, valid_for=timedelta(seconds=-60))
    for words in (("patch", "--yes"), ("image.stale",)):
        assert "expired on" in project.run(*words, code=4).stderr
    archive.publish(PLAIN)
    quiet(project)


MOMENTS = (
    "Making the first tree",
    "Provisioning with playbooks/base.yml",
    "Proving on two throw-away",
    r"Registered base/\d+",
    "Provisioning with playbooks/web.yml",
    "Looking for secrets",
    r"Registered web/\d+",
    r"dev/patched.*[Ww]ave|launch",
    "drain",
)
"""What a run says when it is at each of its stages: the last two are of a rollout."""


@pytest.mark.skipif(
    "OVENBIRD_TEST_KILLS" not in os.environ,
    reason="kills a run at every stage, ten minutes: by hand, with OVENBIRD_TEST_KILLS=1",
)
def test_a_run_that_is_killed_at_every_stage_is_finished_by_the_next_and_bakes_nothing_twice(
    project: Project, archive: Archive
) -> None:
    project.run("patch", "--yes")
    before = images_of(project)
    archive.put(BREAD, "1.2", suite=SECURITY)
    archive.publish(SECURITY)
    killed = 0
    for moment in MOMENTS:
        driver = project.start("patch", "--yes", "--scheduled")
        try:
            driver.until(moment, seconds=200)
        except AssertionError:
            driver.end(code=None)
            print(f"{moment}: it was over before")
            continue
        driver.kill()
        killed += 1
        print(f"killed at {moment!r}: {sorted(set(images_of(project)) - set(before))}")
    said = project.run("patch", "--yes").stderr
    assert "staging/patched" in said or "is everywhere" in said
    made = sorted(set(images_of(project)) - set(before))
    assert [name.partition("/")[0] for name in made] == ["base", "web"], "nothing is baked twice"
    assert killed >= 7
    for env in ("dev", "staging"):
        (fleet,) = project.document("status", "--env", env)["fleets"]
        assert {each["image"] for each in fleet["instances"]} == {made[1]}
        assert len(fleet["instances"]) == 2
    quiet(project)


def quiet(project: Project) -> None:
    """A run that finds nothing bakes nothing, boots nothing, and says so."""
    before = images_of(project), started(project)
    began = time.monotonic()
    said = project.run("patch", "--yes", "--scheduled").stderr
    print(f"a run that does nothing: {time.monotonic() - began:.2f} s")
    assert "nothing in web/" in said
    assert "is everywhere" in said
    assert (images_of(project), started(project)) == before


def scheduled(project: Project) -> str:
    """Run what the installed timer's service runs, as it is written there."""
    units = project.folder / "units"
    project.run("schedule.install", "--to", str(units))
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(units / "ovenbird-patch.service")
    name, _, value = unit["Service"]["Environment"].partition("=")
    done = process.run(
        shlex.split(unit["Service"]["ExecStart"]),
        doing="What the timer runs",
        env={name: value},
        cwd=Path(unit["Service"]["WorkingDirectory"]),
    )
    return done.stderr


def images_of(project: Project) -> list[str]:
    return sorted(image["ref"] for image in project.document("image.list")["images"])


def started(project: Project) -> set[str]:
    """Every container that there is, and when it began."""
    mine = f"--filter=label=ovenbird.site={project.id}"
    return set(project.podman("ps", "--all", mine, "--format={{.ID}} {{.StartedAt}}").splitlines())
