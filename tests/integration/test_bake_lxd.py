"""Bakes on LXD with real Packer and Ansible, and the life of what they make, behind HAProxy.

One LXD is made for this file; what is claimed is seen from outside, by clients and by LXD's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.baking import FAILS, TASKS, changed, open_ledgers
from tests.cluster import require_lxd
from tests.live import LiveFleet
from tests.lxd import OneLxd, a_client
from tests.project import TITLE, Project
from tests.traffic import nobody_was_turned_away

from ovenbird.balancer import haproxy

pytestmark = pytest.mark.xdist_group("lxd")

PRESEED = """
config: {{core.https_address: "127.0.0.1:{port}", images.compression_algorithm: none}}
networks:
- name: {bridge}
  type: bridge
  config: {{ipv4.address: {prefix}.1/24, ipv4.nat: "true", ipv6.address: none}}
storage_pools:
- {{name: default, driver: btrfs, config: {{size: 8GiB}}}}
profiles:
- name: default
  devices:
    root: {{type: disk, path: /, pool: default}}
    eth0: {{type: nic, network: {bridge}, name: eth0}}
"""
ENVIRONMENT = "inventories/bake/environment.yml"
ENGINES = "inventories/engines.yml"
STOP = "stop: {signal: SIGRTMIN+3, timeout: 20}\n"
JOBS = """      jobs:
        greet: [/bin/sh, -c, "grep -o 'hello from [a-z]*' /run/ovenbird/config.json"]
        break: [/bin/sh, -c, "echo this cannot be migrated; exit 3"]
"""


class OvenLxd(OneLxd):
    """An LXD whose instances reach the mirror, with room for real images."""

    def prepare(self) -> None:
        self.run("lxd", "init", "--preseed", stdin=self._preseed.encode())

    @property
    def _preseed(self) -> str:
        return PRESEED.format(port=self.port, bridge=self.bridge, prefix=self.prefix)

    def close(self) -> None:
        """End all of it, and give its disk back."""
        for name in self.instances():
            self.run("lxc", "delete", "--force", name)
        for fingerprint in self.images():
            self.run("lxc", "image", "delete", fingerprint)
        self.run("lxc", "profile", "device", "remove", "default", "root")
        self.run("lxc", "storage", "delete", "default")
        super().close()

    def instances(self) -> dict[str, Mapping[str, str]]:
        """The configuration of every instance, by name."""
        listed = json.loads(self.run("lxc", "list", "--format=json"))
        return {each["name"]: each["config"] for each in listed}

    def images(self) -> dict[str, list[str]]:
        """The aliases of every image, by fingerprint."""
        listed = json.loads(self.run("lxc", "image", "list", "--format=json"))
        return {each["fingerprint"]: [a["name"] for a in each["aliases"]] for each in listed}


class LxdFleet(LiveFleet):
    """A fleet on LXD."""

    def _entry(self) -> dict[str, object]:
        entry = super()._entry()
        health = entry["health"]
        assert isinstance(health, dict)
        slower = {"healthy_deadline": "40s", "progress_deadline": "120s"}
        return {**entry, "provider": "lxd", "health": {**health, **slower}}


@pytest.fixture(scope="module")
def lxd() -> Iterator[OvenLxd]:
    require_lxd()
    with tempfile.TemporaryDirectory(prefix="obl-", dir="/tmp") as at:
        lxd = OvenLxd(Path(at), Path(at))
        lxd.start()
        try:
            lxd.prepare()
            yield lxd
        finally:
            lxd.close()


@pytest.fixture(scope="module")
def baked(lxd: OvenLxd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose ``web/1`` was baked on that LXD, and is stable."""
    home = tmp_path_factory.mktemp("on-lxd")
    project = Project.copied(home / "project", site=home / "site")
    engines = {"engines": {"lxd": {"endpoints": list(lxd.local.endpoints)}}}
    (project.folder / ENGINES).write_text(json.dumps(engines))
    project.rewrite_families({STOP: STOP + JOBS})
    try:
        print(project.run("bake", "web", "--on", "lxd").stderr)
        project.run("image.promote", "web/1", "stable")
        yield project
    finally:
        haproxy.stop(project.site)


def test_a_bake_keeps_two_images_with_names_and_nothing_else(lxd: OvenLxd, baked: Project) -> None:
    artifacts = {
        image["ref"]: {a["provider"]: a["id"] for a in image["artifacts"]}
        for image in baked.document("image.list")["images"]
    }
    named = {
        f"ovenbird-{baked.id}/{ref}": fingerprints["lxd"] for ref, fingerprints in artifacts.items()
    }
    assert set(artifacts) == {"base/1", "web/1"}
    assert {name: held for held, names in lxd.images().items() for name in names} == named
    assert set(lxd.images()) == set(named.values())
    assert lxd.instances() == {}
    assert open_ledgers(baked) == set()


def test_a_second_bake_has_nothing_to_do(lxd: OvenLxd, baked: Project) -> None:
    done = baked.run("bake", "web", "--on", "lxd")
    assert (done.stdout, len(lxd.images())) == ("web/1\n", 2)


def test_a_role_that_fails_leaves_no_instance_and_no_image(lxd: OvenLxd, baked: Project) -> None:
    before = lxd.images()
    with changed(baked, TASKS, FAILS):
        done = baked.run("bake", "web", "--on", "lxd", code=1)
    assert "The task 'Open the oven door too early' failed in the build instance." in done.stderr
    assert (lxd.images(), lxd.instances(), open_ledgers(baked)) == (before, {}, set())


def test_a_kept_build_instance_can_be_entered_and_holds_no_secret_any_more(
    lxd: OvenLxd, baked: Project
) -> None:
    before = lxd.images()
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
    assert (lxd.images(), lxd.instances()) == (before, {})


@pytest.mark.parametrize("wrong", ["pin", "socket"])
def test_another_lxd_than_the_one_that_is_meant_is_sent_nothing(
    wrong: str, lxd: OvenLxd, baked: Project
) -> None:
    before, ledgers = lxd.images(), open_ledgers(baked)
    certificate, key = a_client(baked.folder)
    meant = {
        "pin": {
            "endpoints": [f"https://127.0.0.1:{lxd.port}"],
            "pin": "0" * 64,
            "client": {"certificate": str(certificate), "key": str(key)},
        },
        "socket": {"endpoints": [f"unix:{lxd.folder}/nobody.socket"]},
    }
    with changed(baked, ENGINES, json.dumps({"engines": {"lxd": meant[wrong]}})):
        refused = baked.run("bake", "web", "--on", "lxd", "--force", code=3)
    said = {
        "pin": "shows another certificate than the pinned one, and was sent nothing",
        "socket": "there is no socket",
    }
    assert said[wrong] in refused.stderr
    assert (lxd.images(), lxd.instances(), open_ledgers(baked)) == (before, {}, ledgers)


def test_a_job_of_a_baked_image_runs_to_its_end_with_its_launch_data(
    lxd: OvenLxd, baked: Project
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
    assert lxd.instances() == {}


def test_a_fleet_is_rolled_and_rolled_back_and_nobody_is_turned_away(
    lxd: OvenLxd, baked: Project
) -> None:
    families = (baked.folder / "packer/images.yml").read_text()
    with changed(baked, "packer/images.yml", families.replace(TITLE, "web_title: Another\n")):
        second = baked.run("bake", "web", "--on", "lxd").stdout.strip()
    fleet = LxdFleet(baked, "web-on-lxd")
    fleet.declare(size=2, surge=2)
    fleet.rollout()
    first = lxd.instances()
    with fleet.traffic() as traffic:
        fleet.rollout("--image", second)
        assert fleet.serving() == [second, second]
        fleet.command("rollback", "--yes")
        assert fleet.serving() == ["web/1", "web/1"]
    results = traffic.results()
    print(results)
    nobody_was_turned_away(results, at_least=int(50 * results.seconds * 0.9))
    now = lxd.instances()
    assert len(now) == 2
    assert not set(now) & set(first)
    for config in now.values():
        assert "nothing-secret" not in json.dumps(config)
        assert "hello from dev" not in json.dumps(config)
    fleet.declare(size=0)
    fleet.rollout()
    assert lxd.instances() == {}
