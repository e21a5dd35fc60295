"""A bake on QEMU with real Packer and Ansible, seen from outside: the disk, the processes, files.

A base is baked for this file, and a web's whole life is played: bake, fleet of two, rollout,
rollback, drift, end. That takes half an hour without KVM, so it is run by hand.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.baking import changed, open_ledgers, processes_of, tokens
from tests.live import LiveFleet
from tests.project import TITLE, Project, until
from tests.qemu import require_qemu
from tests.traffic import nobody_was_turned_away

from ovenbird.balancer import haproxy

pytestmark = pytest.mark.skipif(
    "OVENBIRD_TEST_QEMU" not in os.environ,
    reason="takes half an hour without KVM: by hand, with OVENBIRD_TEST_QEMU=1",
)

ENGINES = "inventories/engines.yml"
IMAGES = "packer/images.yml"
BASE_TASKS = "roles/base/tasks/main.yml"
# Two files, each large enough for blocks of its own: one gone within its task, one by a later task.
DELETES = """
- name: Write what is deleted again
  ansible.builtin.command:
    cmd: /bin/sh -eu
    stdin: |
      for n in $(seq 4000); do echo "first-secret-of-this-bake $n"; done > /root/first-to-go
      for n in $(seq 4000); do echo "second-secret-of-this-bake $n"; done > /var/lib/second-to-go
      for n in $(seq 4000); do echo "kept-by-this-bake $n"; done > /var/lib/kept
      sync
      rm /root/first-to-go
  changed_when: true

- name: Delete the other one
  ansible.builtin.command: rm /var/lib/second-to-go
  changed_when: true
"""


class QemuFleet(LiveFleet):
    """A fleet on QEMU, with the patience that a guest without KVM needs."""

    def _entry(self) -> dict[str, object]:
        entry = super()._entry()
        health = entry["health"]
        assert isinstance(health, dict)
        slower = {"healthy_deadline": "240s", "progress_deadline": "900s"}
        return {**entry, "provider": "qemu", "health": {**health, **slower}}


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose ``base/1`` was baked on QEMU."""
    require_qemu()
    home = tmp_path_factory.mktemp("on-qemu")
    project = Project.copied(home / "project", site=home / "site")
    (project.folder / ENGINES).write_text(json.dumps({"engines": {"qemu": {"accelerator": "tcg"}}}))
    tasks = project.folder / BASE_TASKS
    tasks.write_text(tasks.read_text() + DELETES)
    begun = time.monotonic()
    print(project.run("bake", "base", "--on", "qemu").stderr)
    print(f"the bake of base took {time.monotonic() - begun:.0f} s")
    try:
        yield project
    finally:
        haproxy.stop(project.site)
        shutil.rmtree(home)


def images_of(project: Project) -> dict[str, Path]:
    """Folder of each golden disk, by the name that is written beside it."""
    folders = (project.site / "qemu" / "images").iterdir()
    return {json.loads((at / "origin.json").read_text())["image"]: at for at in folders}


def held(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def nothing_runs(project: Project) -> bool:
    return not any(processes_of(token) for token in tokens(project))


def test_a_bake_leaves_one_image_with_its_kernel_and_nothing_else(baked: Project) -> None:
    assert set(images_of(baked)) == {"base/1"}
    disk = images_of(baked)["base/1"] / "disk.qcow2"
    assert held(disk.parent) == [
        "boot.json",
        "disk.qcow2",
        "initrd.img",
        "origin.json",
        "vmlinuz",
    ]
    assert disk.stat().st_mode & 0o222 == 0
    assert "init=" not in (disk.parent / "boot.json").read_text(), "no door in the image"
    assert open_ledgers(baked) == set()
    assert list((baked.site / "qemu" / "drafts").iterdir()) == []
    assert not list((baked.site / "qemu" / "instances").iterdir())
    assert nothing_runs(baked)


def test_what_was_deleted_in_a_bake_is_in_no_block_of_its_disk(
    baked: Project, tmp_path: Path
) -> None:
    raw = tmp_path / "disk.raw"
    disk = images_of(baked)["base/1"] / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    with raw.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as blocks:
        found = {
            text: blocks.find(text.encode()) >= 0
            for text in (
                "kept-by-this-bake",
                "first-secret-of-this-bake",
                "second-secret-of-this-bake",
                "first-to-go",
                "second-to-go",
                "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ",
            )
        }
    assert [text for text, seen in found.items() if seen] == ["kept-by-this-bake"]


def test_a_second_bake_has_nothing_to_do(baked: Project) -> None:
    before = held(baked.site / "qemu" / "images")
    done = baked.run("bake", "base", "--on", "qemu")
    assert (done.stdout, held(baked.site / "qemu" / "images")) == ("base/1\n", before)


@pytest.mark.parametrize(
    ("disk", "code", "sentence", "remedy"),
    [
        ("another", 2, "base.qcow2 is another file than is meant", "Find out who changed it."),
        ("missing", 2, "there is no file base.qcow2", "Correct path:"),
        ("empty", 1, "The disk holds no ext4 file system", "root is ext4"),
        ("unreachable", 3, "could not be fetched", "fetch it by hand"),
    ],
)
def test_a_base_that_cannot_be_one_is_refused_and_nothing_is_left(
    disk: str, code: int, sentence: str, remedy: str, baked: Project
) -> None:
    file = baked.folder / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "64M"], check=True)
    sum_ = hashlib.sha256(file.read_bytes()).hexdigest()
    if disk == "missing":
        file.unlink()
    where = (
        f"url: http://127.0.0.1:9/{file.name}" if disk == "unreachable" else f"path: {file.name}"
    )
    sum_ = "0" * 64 if disk == "another" else sum_
    origin = f'    from: {{qcow2: {{{where}, sha256: "{sum_}"}}}}\n'
    text = f"families:\n  other:\n{origin}    playbook: playbooks/base.yml\n"
    before = held(baked.site / "qemu")
    with changed(baked, IMAGES, text):
        refused = baked.run("bake", "other", "--on", "qemu", code=code)
    file.unlink(missing_ok=True)
    assert sentence in refused.stderr
    assert remedy in refused.stderr
    assert held(baked.site / "qemu") == before
    assert open_ledgers(baked) == set()


def test_the_machine_of_a_bake_that_was_killed_is_ended_by_the_next(baked: Project) -> None:
    before = tokens(baked)
    driver = baked.start("bake", "base", "--on", "qemu", "--force")
    driver.until("Provisioning with", seconds=300)
    time.sleep(60)
    driver.kill()
    (dead,) = tokens(baked) - before
    assert any("qemu-system" in words for words in processes_of(dead).values())
    baked.run("bake", "base", "--on", "qemu", "--force")
    until(lambda: not processes_of(dead), seconds=30)
    assert open_ledgers(baked) == set()
    assert set(images_of(baked)) == {"base/1", "base/2"}


def test_an_image_that_is_too_large_is_not_registered(baked: Project) -> None:
    with changed(baked, IMAGES, (baked.folder / IMAGES).read_text() + "    max_size: 100m\n"):
        refused = baked.run("bake", "web", "--on", "qemu", code=1)
    assert "and max_size allows 100 MiB" in refused.stderr
    assert (set(images_of(baked)), open_ledgers(baked)) == ({"base/1", "base/2"}, set())


def test_a_web_is_baked_rolled_rolled_back_looked_at_and_ended(baked: Project) -> None:
    times: dict[str, float] = {}

    def timed(what: str, begun: float) -> None:
        times[what] = round(time.monotonic() - begun, 1)
        print(what, times[what], flush=True)

    begun = time.monotonic()
    print(baked.run("bake", "web", "--on", "qemu").stderr)
    timed("bake", begun)
    begun = time.monotonic()
    baked.run("prove", "web/1", "--on", "qemu")
    timed("prove", begun)
    baked.run("image.promote", "web/1", "stable")
    families = (baked.folder / IMAGES).read_text()
    with changed(baked, IMAGES, families.replace(TITLE, "web_title: Another\n")):
        second = baked.run("bake", "web", "--on", "qemu").stdout.strip()
    fleet = QemuFleet(baked, "web-on-qemu")
    fleet.declare(size=2, surge=2)
    begun = time.monotonic()
    fleet.rollout()
    timed("a fleet of two", begun)
    with fleet.traffic() as traffic:
        begun = time.monotonic()
        fleet.rollout("--image", second)
        timed("rollout", begun)
        assert fleet.serving() == [second, second]
        begun = time.monotonic()
        fleet.command("rollback", "--yes")
        timed("rollback", begun)
        assert fleet.serving() == ["web/1", "web/1"]
    results = traffic.results()
    print(results)
    nobody_was_turned_away(results, at_least=int(50 * results.seconds * 0.9))
    begun = time.monotonic()
    baked.run("fleet.drift", "--fleet", fleet.name, "--env", fleet.env, "--check")
    timed("drift", begun)
    fleet.declare(size=0)
    begun = time.monotonic()
    fleet.rollout()
    timed("terminate", begun)
    assert not list((baked.site / "qemu" / "instances").iterdir())
    assert nothing_runs(baked)
    print(times)
