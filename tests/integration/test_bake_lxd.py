"""Bakes on LXD with real Packer and Ansible, and the life of what they make, behind HAProxy.

A cluster of three is made for this file, and reached over HTTPS with a pinned certificate; what is
claimed is seen from outside, by clients and by LXD's own.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping

import pytest
from tests.baking import FAILS, TASKS, changed, open_ledgers
from tests.cluster import ClusterFleet, a_cluster
from tests.project import TITLE, Project
from tests.traffic import nobody_was_turned_away

from ovenbird.cluster import Cluster, member

pytestmark = pytest.mark.xdist_group("lxd")

ENVIRONMENT = "inventories/bake/environment.yml"
ENGINES = "inventories/engines.yml"
STOP = "stop: {signal: SIGRTMIN+3, timeout: 20}\n"
JOBS = """      jobs:
        greet: [/bin/sh, -c, "grep -o 'hello from [a-z]*' /run/ovenbird/config.json"]
        break: [/bin/sh, -c, "echo this cannot be migrated; exit 3"]
"""


@pytest.fixture(scope="module")
def lxd() -> Iterator[Cluster]:
    with a_cluster() as made:
        yield made


def instances(lxd: Cluster) -> dict[str, Mapping[str, str]]:
    """The configuration of every instance, by name."""
    listed = json.loads(member.lxc(lxd.members[0], "list", "--format=json"))
    return {each["name"]: each["config"] for each in listed}


def images(lxd: Cluster) -> dict[str, list[str]]:
    """The aliases of every image, by fingerprint."""
    listed = json.loads(member.lxc(lxd.members[0], "image", "list", "--format=json"))
    return {each["fingerprint"]: [a["name"] for a in each["aliases"]] for each in listed}


def by_socket(lxd: Cluster) -> str:
    """What engines.yml says to reach it without a certificate."""
    return json.dumps(
        {"engines": {"lxd": {"endpoints": [f"unix:{lxd.members[1].folder}/unix.socket"]}}}
    )


@pytest.fixture(scope="module")
def baked(lxd: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose ``web/1`` was baked on that LXD, and is stable; its base was baked on podman
    as well, side by side."""
    home = tmp_path_factory.mktemp("on-lxd")
    project = Project.copied(home / "project", site=home / "site")
    (project.folder / ENGINES).write_text(lxd.described())
    project.rewrite_families({STOP: STOP + JOBS})
    try:
        print(project.run("bake", "base", "--on", "podman,lxd").stderr)
        print(project.run("bake", "web", "--on", "lxd").stderr)
        project.run("image.promote", "web/1", "stable")
        yield project
    finally:
        project.close()


def test_a_bake_keeps_two_images_with_names_and_nothing_else(lxd: Cluster, baked: Project) -> None:
    artifacts = {
        image["ref"]: {a["provider"]: a["id"] for a in image["artifacts"]}
        for image in baked.document("image.list")["images"]
    }
    named = {
        f"ovenbird-{baked.id}/{ref}": fingerprints["lxd"] for ref, fingerprints in artifacts.items()
    }
    assert {ref: set(ids) for ref, ids in artifacts.items()} == {
        "base/1": {"podman", "lxd"},
        "web/1": {"lxd"},
    }
    assert {name: held for held, names in images(lxd).items() for name in names} == named
    assert set(images(lxd)) == set(named.values())
    assert instances(lxd) == {}
    assert open_ledgers(baked) == set()


def test_a_second_bake_has_nothing_to_do(lxd: Cluster, baked: Project) -> None:
    done = baked.run("bake", "web", "--on", "lxd")
    assert (done.stdout, len(images(lxd))) == ("web/1\n", 2)


def test_a_role_that_fails_leaves_no_instance_and_no_image(lxd: Cluster, baked: Project) -> None:
    before = images(lxd)
    with changed(baked, TASKS, FAILS):
        done = baked.run("bake", "web", "--on", "lxd", code=1)
    assert "The task 'Open the oven door too early' failed in the build instance." in done.stderr
    assert (images(lxd), instances(lxd), open_ledgers(baked)) == (before, {}, set())


def test_a_kept_build_instance_can_be_entered_and_holds_no_secret_any_more(
    lxd: Cluster, baked: Project
) -> None:
    before = images(lxd)
    lent = {"mirror": "host", "secrets": {"registry": "command:echo nothing-secret"}}
    with changed(baked, TASKS, FAILS), changed(baked, ENVIRONMENT, json.dumps(lent)):
        said = baked.run("bake", "web", "--on", "lxd", "--keep", code=1).stderr
    enter, remove = (re.search(rf"{word}: +(.*)", said) for word in ("Enter it", "Remove it"))
    assert enter is not None
    assert remove is not None
    looked = subprocess.run(
        enter[1],
        shell=True,
        input="ls /run/ovenbird-bake /run/ovenbird-bake/secrets; exit\n",
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(remove[1], shell=True, capture_output=True, check=True)
    assert "apt.conf" in looked.stdout
    assert "No such file" in looked.stderr
    assert (images(lxd), instances(lxd)) == (before, {})


@pytest.mark.parametrize("wrong", ["pin", "socket"])
def test_another_lxd_than_the_one_that_is_meant_is_sent_nothing(
    wrong: str, lxd: Cluster, baked: Project
) -> None:
    before, ledgers = images(lxd), open_ledgers(baked)
    meant = {
        "pin": lxd.described().replace(lxd.pin, "0" * 64),
        "socket": by_socket(lxd).replace("unix.socket", "nobody.socket"),
    }
    with changed(baked, ENGINES, meant[wrong]):
        refused = baked.run("bake", "web", "--on", "lxd", "--force", code=3)
    said = {
        "pin": "shows another certificate than the pinned one, and was sent nothing",
        "socket": "there is no socket",
    }
    assert said[wrong] in refused.stderr
    assert (images(lxd), instances(lxd), open_ledgers(baked)) == (before, {}, ledgers)


def test_a_job_of_a_baked_image_runs_to_its_end_with_its_launch_data(
    lxd: Cluster, baked: Project
) -> None:
    secret = baked.folder / "secret-of-jobs"
    secret.touch(mode=0o600)
    secret.write_text("nothing-secret-jobs\n")
    launch = {
        "config": {"greeting": "hello from jobs"},
        "secrets": {"token": f"file:{secret.name}"},
    }
    for name, code in (("greet", 0), ("break", 1)):
        job = {"image": "web@stable", "kind": "job", "job": name, "provider": "lxd"}
        baked.declare_one("dev", f"job-{name}", {**job, "launch": launch})
        done = baked.run("fleet.run", f"job-{name}", "--env", "dev", code=code)
        wanted = "hello from jobs" if code == 0 else "this cannot be migrated"
        assert wanted in done.stdout + done.stderr
    assert instances(lxd) == {}


def test_a_fleet_is_rolled_and_rolled_back_over_all_members_and_nobody_is_turned_away(
    lxd: Cluster, baked: Project
) -> None:
    families = (baked.folder / "packer/images.yml").read_text()
    with (
        changed(baked, "packer/images.yml", families.replace(TITLE, "web_title: Another\n")),
        changed(baked, ENGINES, by_socket(lxd)),
    ):
        second = baked.run("bake", "web", "--on", "lxd").stdout.strip()
    fleet = ClusterFleet.on(lxd, baked, "web-on-lxd")
    fleet.declare(size=3, surge=3)
    fleet.rollout()
    first = instances(lxd)
    with fleet.traffic() as traffic:
        fleet.rollout("--image", second)
        assert fleet.serving() == [second] * 3
        assert set(fleet.members().values()) == {"n1", "n2", "n3"}
        fleet.command("rollback", "--yes")
        assert fleet.serving() == ["web/1"] * 3
    results = traffic.results()
    print(results)
    nobody_was_turned_away(results, at_least=int(50 * results.seconds * 0.9))
    now = instances(lxd)
    assert len(now) == 3
    assert not set(now) & set(first)
    for config in now.values():
        assert "nothing-secret" not in json.dumps(config)
        assert "hello from dev" not in json.dumps(config)
    fleet.declare(size=0)
    fleet.rollout()
    assert instances(lxd) == {}
