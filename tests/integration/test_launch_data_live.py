"""One artifact serves every environment; what differs comes at launch, and a secret stays one."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from tests.live import LiveFleet
from tests.project import Project


def test_one_artifact_serves_two_environments_that_never_meet(
    new_fleet: Callable[..., LiveFleet],
) -> None:
    dev, staging = (new_fleet(size=1, env=env, name="shop") for env in ("dev", "staging"))
    dev.hand_over_secret("d" * 12)
    staging.hand_over_secret("s" * 34)

    dev.rollout()
    staging.rollout()
    untouched = set(staging.containers())
    dev.declare(greeting="good morning", size=2)
    dev.rollout()

    assert artifacts(dev) == artifacts(staging)
    assert set(staging.containers()) == untouched
    assert not set(dev.containers()) & untouched
    assert [str(len(f.status()["instances"])) for f in (dev, staging)] == ["2", "1"]
    assert "good morning" in page(dev)
    assert "token, 12 bytes" in page(dev)
    assert "hello from staging" in page(staging)
    assert "token, 34 bytes" in page(staging)


def test_a_changed_value_is_rolled_out_on_the_same_image(
    new_fleet: Callable[..., LiveFleet],
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    first, image = set(fleet.containers()), artifacts(fleet)

    fleet.declare(greeting="another greeting")
    told = fleet.rollout("--plan").stderr
    fleet.rollout()
    second = set(fleet.containers())
    fleet.hand_over_secret("another secret")
    fleet.rollout()
    third = set(fleet.containers())
    nothing = fleet.rollout_document()

    assert "same image, changed launch data" in told
    assert "another greeting" in page(fleet)
    assert "token, 14 bytes" in page(fleet)
    assert artifacts(fleet) == image
    assert fleet.serving() == ["web/1"]
    assert len(first | second | third) == 3
    assert nothing["waves"] == []


def test_two_clones_on_one_host_share_the_site(
    new_fleet: Callable[..., LiveFleet], oven_project: Project, tmp_path: Path
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    shutil.copytree(oven_project.folder, tmp_path / "clone", symlinks=True)
    clone = Project(tmp_path / "clone", oven_project.site)

    (seen,) = clone.document("status", "--fleet", fleet.name)["fleets"]
    nothing = clone.document("rollout", fleet.name, "--yes")

    assert {i["id"] for i in seen["instances"]} == set(fleet.containers())
    assert (nothing["outcome"], nothing["waves"]) == ("done", [])


def test_a_secret_is_found_nowhere_but_in_its_instances(
    new_fleet: Callable[..., LiveFleet], ill_image: str
) -> None:
    fleet, project = new_fleet(size=1), new_fleet(size=0).project
    secret = f"hush-{secrets.token_hex(16)}"
    fleet.hand_over_secret(secret)

    with Commands() as commands:
        for words in (["--plan"], ["--json"], ["--image", ill_image, "--json"]):
            fleet.rollout(*words, code=None)
        for words in (["status"], ["history"], ["image.list"], ["image.show", "web/1"]):
            project.run(*words, *(["--json"] if words[0] != "image.show" else []))
    fleet.status()
    names = list(fleet.containers())

    assert len(names) == 2, "the ill one must have been tried"
    assert f"token, {len(secret)} bytes" in page(fleet)
    assert commands.saw("secret create"), "the sampler has to be quick enough for the shortest one"
    assert not commands.saw(secret)
    assert not any(secret in said for said in project.said)
    assert not [path for path in files(project.site) if secret.encode() in path.read_bytes()]
    assert secret not in project.podman("inspect", *names)
    assert secret not in project.podman("secret", "ls", "--format=json")
    for name in names:
        assert secret not in project.podman("logs", name)
    for image in artifacts(fleet):
        assert not held_by_image(project, image, secret)
        assert held_by_image(project, image, "ovenbird-web-page"), "the search finds what is there"


class Commands:
    """Every command line and environment that a process of this host has had, read from /proc."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def __enter__(self) -> Commands:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        self._thread.join()

    def saw(self, text: str) -> bool:
        wanted = text.encode()
        return any(wanted in line.replace(b"\0", b" ") for line in self._seen)

    def _keep_looking(self) -> None:
        while not self._enough.wait(0.005):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for kind in ("cmdline", "environ"):
                    try:
                        self._seen.add(Path("/proc", pid, kind).read_bytes())
                    except OSError:
                        continue  # it has ended meanwhile


def page(fleet: LiveFleet) -> str:
    with urllib.request.urlopen(f"{fleet.url}/", timeout=5) as answer:
        return str(answer.read().decode())


def artifacts(fleet: LiveFleet) -> set[str]:
    """Return the engine's ids of the images that a fleet's containers were made from."""
    told = fleet.project.podman("inspect", "--format={{.Image}}", *fleet.containers())
    return set(told.split())


def files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def held_by_image(project: Project, image: str, text: str) -> bool:
    """Search all layers and the configuration of an image for a text, as podman would save them."""
    wanted, last = text.encode(), b""
    with subprocess.Popen(
        ["podman", "save", "--quiet", "--format=docker-archive", image],
        stdout=subprocess.PIPE,
        env={**os.environ, **project.podman_environment},
    ) as saved:
        assert saved.stdout is not None
        found = False
        while chunk := saved.stdout.read(1 << 20):
            found = found or wanted in last + chunk
            last = chunk[-len(wanted) :]
    assert saved.returncode == 0
    return found
