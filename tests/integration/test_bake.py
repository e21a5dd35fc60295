"""Bakes with real Packer, Ansible and podman: what they make, and what they leave behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.baking import (
    FAILS,
    LISTENS_FOR_PROCESSES,
    TASKS,
    changed,
    containers,
    images,
    secrets,
)
from tests.project import INVOKE, Project


def test_a_second_bake_answers_without_starting_a_process(
    oven_project: Project, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LISTENS_FOR_PROCESSES)
    heard = tmp_path / "heard"
    listening = {"PYTHONPATH": str(tmp_path), "HEARD": str(heard)}
    env = {**os.environ, **oven_project.environment, **listening, "PATH": "/nonexistent"}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, INVOKE, "bake", "web"],
        env=env,
        cwd=oven_project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"web/\d+\n", done.stdout)
    assert "nothing that goes into it has changed" in done.stderr
    assert re.search(r"its packages are \d+ \w+ old", done.stderr)
    assert not heard.exists(), heard.read_text()
    print(f"a bake with nothing to do took {took:.2f} s")


def test_the_listener_would_have_heard_a_process(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LISTENS_FOR_PROCESSES)
    heard = tmp_path / "heard"
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "HEARD": str(heard)}
    code = "import subprocess; subprocess.run(['true'])"
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert "subprocess.Popen" in heard.read_text()


@pytest.mark.usefixtures("leaves_nothing")
def test_a_refresh_bakes_nothing_where_no_index_moved(oven_project: Project) -> None:
    newest = oven_project.run("bake", "web").stdout
    done = oven_project.run("bake", "web", "--refresh")
    assert done.stdout == newest
    assert "no index of its sources moved" in done.stderr


def test_an_image_is_explained_by_the_file_that_changed(oven_project: Project) -> None:
    assert "Nothing has changed since web/" in oven_project.run("image.explain", "web").stdout
    with changed(oven_project, TASKS, FAILS):
        said = oven_project.run("image.explain", "web").stdout
    assert re.search(rf"^  changed  {TASKS}$", said, re.MULTILINE)


def test_what_is_rendered_is_formatted_and_valid_for_this_packer(
    oven_project: Project, tmp_path: Path
) -> None:
    text = oven_project.run("image.render", "web").stdout
    (tmp_path / "image.pkr.hcl").write_text(text.removesuffix("\n"))
    packer = {"cwd": tmp_path, "capture_output": True, "text": True, "check": False}
    formatted = subprocess.run(["packer", "fmt", "-check", "-diff", "."], **packer)  # type: ignore[call-overload]
    assert formatted.returncode == 0, formatted.stdout
    variables = [f"-var={name}=x" for name in ("token", "lent", "provision", "manifest")]
    valid = subprocess.run(["packer", "validate", *variables, "."], **packer)  # type: ignore[call-overload]
    assert valid.returncode == 0, valid.stdout


def test_what_newer_packers_are_told_of_plugins_is_formatted(
    oven_project: Project, tmp_path: Path
) -> None:
    """Packer 1.6.6 rejects the block, so that no more than its form can be checked with it."""
    from ovenbird.bake.template import render_plugins

    path = tmp_path / "plugins.pkr.hcl"
    path.write_text(render_plugins("docker", project=oven_project.folder))
    done = subprocess.run(["packer", "fmt", "-check", path], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("leaves_nothing")
def test_what_packer_refuses_is_told_with_its_line_and_starts_nothing(
    oven_project: Project,
) -> None:
    file = "packer/source.podman.pkr.hcl.j2"
    text = (oven_project.folder / file).read_text()
    line = text[: text.index("commit = true")].count("\n") + 1
    with changed(oven_project, file, text.replace("commit = true", "comit = true")):
        done = oven_project.run("bake", "web", "--force", code=2)
    assert f"{file}:{line}: Packer does not accept" in done.stderr
    assert "comit" in done.stderr


@pytest.mark.usefixtures("leaves_nothing")
def test_a_role_that_fails_is_named_by_its_task_and_leaves_nothing(oven_project: Project) -> None:
    with changed(oven_project, TASKS, FAILS):
        done = oven_project.run("bake", "web", code=1)
    assert "The task 'Open the oven door too early' failed in the build instance." in done.stderr
    assert "it is cold" in done.stderr
    log = re.search(r"The whole log: (\S+)", done.stderr)
    assert log is not None
    assert "it is cold" in Path(log[1]).read_text()
    assert done.stdout == ""


def test_an_image_that_is_not_proven_is_kept_as_failed_with_its_log_and_without_its_artifact(
    oven_project: Project,
) -> None:
    before = images(oven_project)
    proof = "tests/images/test_family_web.py"
    bad = (oven_project.folder / proof).read_text()
    bad += "\n\ndef test_it_tastes_good() -> None:\n    raise AssertionError('too salty')\n"
    with changed(oven_project, proof, bad):
        done = oven_project.run("bake", "web", "--force", code=1)
    assert "does not pass its proofs" in done.stderr
    assert "test_it_tastes_good: AssertionError: too salty" in done.stderr
    newest = oven_project.document("image.list", "--family", "web")["images"][0]
    assert (newest["state"], newest["artifacts"]) == ("failed", [])
    assert "too salty" in Path(newest["log"]).read_text()
    assert images(oven_project) == before
    assert (containers(oven_project), secrets(oven_project)) == (set(), set())
    refused = oven_project.run("image.promote", newest["ref"], "stable", code=3)
    assert f"{newest['ref']} is failed" in refused.stderr
