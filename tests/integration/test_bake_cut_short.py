"""Bakes that are interrupted, killed, kept, or have no room: nothing half made is left."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.baking import (
    FAILS,
    TAKES_LONG,
    TASKS,
    changed,
    containers,
    images,
    processes_of,
)
from tests.project import Project, until


def test_a_kept_build_instance_can_be_entered_and_removed_as_it_says(
    oven_project: Project,
) -> None:
    before = images(oven_project)
    with changed(oven_project, TASKS, FAILS):
        said = oven_project.run("bake", "web", "--keep", code=1).stderr
    enter, remove = (re.search(rf"{word}: +(.*)", said) for word in ("Enter it", "Remove it"))
    assert enter is not None
    assert remove is not None
    looked = subprocess.run(
        enter[1].replace(" -it ", " -i "),  # there is no terminal here
        shell=True,
        input="cat /run/ovenbird-bake/apt.conf; ls -A /run/ovenbird-bake/secrets; echo entered\n",
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(remove[1], shell=True, capture_output=True, check=True)
    assert looked.stdout.endswith("entered\n"), looked.stderr
    assert "Dir::Etc::sourcelist" in looked.stdout
    assert containers(oven_project) == set()
    assert images(oven_project) == before


def in_the_middle(project: Project) -> str:
    """Return the token of the bake under way, as soon as its Ansible runs."""
    until(lambda: bool(containers(project)), seconds=60)
    (token,) = containers(project)
    playing = f"{project.site}/bakes/{token}/hosts.yml"
    until(lambda: bool(processes_of(playing)), seconds=60)
    return token


@pytest.mark.usefixtures("leaves_nothing")
def test_an_interrupted_bake_leaves_nothing(oven_project: Project) -> None:
    with changed(oven_project, TASKS, TAKES_LONG):
        driver = oven_project.start("bake", "web")
        token = in_the_middle(oven_project)
        driver.interrupt()
        said = driver.end(code=130)
    assert "Run the same command again" in said
    until(lambda: not processes_of(token))


@pytest.mark.parametrize("killed", ["the command alone", "Packer and Ansible too"])
@pytest.mark.usefixtures("leaves_nothing")
def test_the_next_bake_cleans_up_what_a_killed_one_left(killed: str, oven_project: Project) -> None:
    with changed(oven_project, TASKS, TAKES_LONG):
        driver = oven_project.start("bake", "web")
        token = in_the_middle(oven_project)
        driver.kill()
        if killed == "Packer and Ansible too":
            for pid, words in processes_of(token).items():
                if "packer" in words or "python" in words:
                    os.kill(pid, signal.SIGKILL)
    assert containers(oven_project) == {token}
    with changed(oven_project, TASKS, FAILS):
        said = oven_project.run("bake", "web", code=1).stderr
    assert "Cleaning up after a bake of web that died" in said
    until(lambda: not processes_of(token))


@pytest.mark.usefixtures("leaves_nothing")
def test_an_image_that_only_its_token_betrays_is_cleaned_up_too(oven_project: Project) -> None:
    """A Packer whose bake was killed may commit an image that no ledger has heard of."""
    token = "bake-web-0killed000"
    folder = oven_project.site / "bakes" / token
    folder.mkdir()
    book = {"token": token, "family": "web", "pid": 1, "started": "1"}
    empty: dict[str, list[str]] = {"containers": [], "images": [], "into": []}
    (oven_project.site / "logs" / f"{token}.log").touch()
    (folder / "ledger.json").write_text(json.dumps({**book, **empty}))
    label = f"LABEL ovenbird.bake={token}"
    name = "localhost/ovenbird-test/killed"
    oven_project.podman("import", "--quiet", "--change", label, str(an_empty_tar(folder)), name)
    with changed(oven_project, TASKS, FAILS):
        said = oven_project.run("bake", "web", code=1).stderr
    assert "Cleaning up after a bake of web that died" in said


def an_empty_tar(folder: Path) -> Path:
    path = folder / "empty.tar"
    path.write_bytes(b"\0" * 10240)
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB, mounted for one test."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def fill(folder: Path) -> None:
    """Leave no free block in a small file system."""
    with pytest.raises(OSError, match="No space"), (folder / "filler").open("wb") as filler:
        filler.write(bytes(2**24))


def test_a_full_disk_blocks_before_anything_is_begun_and_breaks_nothing(
    oven_project: Project, small_disk: Path
) -> None:
    project = Project(oven_project.folder, small_disk / "site")
    assert "No image has been baked here yet" in project.run("image.list").stderr
    before = images(oven_project)
    little = project.run("bake", "web", code=3)
    assert re.search(r"Only 0\.0 GB are free in \S+; a bake needs 0\.5 GB", little.stderr)

    with closing(sqlite3.connect(project.site / "ovenbird.db")) as db:
        db.execute("INSERT INTO fleets (env, name) VALUES ('dev', 'web')")
        db.commit()
    fill(small_disk)
    full = project.run("fleet.unpin", "web", "--because", "x", code=None)
    assert full.code in (2, 3), full.stderr
    assert "Traceback" not in full.stderr
    assert project.run("bake", "web", code=None).code == 3

    (small_disk / "filler").unlink()
    assert project.run("image.list").code == 0
    with closing(sqlite3.connect(project.site / "ovenbird.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert images(oven_project) == before
