"""Bakes with real Packer, Ansible and podman: what they make, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.forward_proxy import ForwardProxy
from tests.project import INVOKE, Project, until

TASKS = "roles/web/tasks/main.yml"
FAILS = """---
- name: Open the oven door too early
  ansible.builtin.command: /bin/sh -c 'echo it is cold >&2; exit 3'
  changed_when: true
"""
TAKES_LONG = """---
- name: Wait for the dough
  ansible.builtin.command: sleep 60
  changed_when: true
"""
LISTENS_FOR_PROCESSES = """
import os, sys

def heard(event, args):
    if event.startswith(("subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system")):
        with open(os.environ["HEARD"], "a") as file:
            print(event, args[:2], file=file)

sys.addaudithook(heard)
"""


@contextmanager
def changed(project: Project, file: str, text: str) -> Iterator[None]:
    """Replace a file of the project for as long as the block lasts."""
    path = project.folder / file
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def tokens(project: Project) -> set[str]:
    """Name every bake of this site, the dead and the done too: each has a log."""
    return {path.stem for path in (project.site / "logs").iterdir()}


def containers(project: Project) -> set[str]:
    names = project.podman("ps", "--all", "--format", "{{.Names}}").split()
    return {name for name in names if any(name.startswith(token) for token in tokens(project))}


def images(project: Project) -> set[str]:
    mine = tokens(project)
    return {
        image["Id"]
        for image in json.loads(project.podman("images", "--all", "--format", "json"))
        if (image.get("Labels") or {}).get("ovenbird.bake") in mine
        or any(
            name.partition("/ovenbird-bake/")[2][:-7] in mine for name in image.get("Names") or ()
        )
    }


def secrets(project: Project) -> set[str]:
    names = project.podman("secret", "ls", "--format", "{{.Name}}").split()
    return {name for name in names if any(name.startswith(token) for token in tokens(project))}


def open_ledgers(project: Project) -> set[str]:
    return {path.name for path in (project.site / "bakes").iterdir()}


@pytest.fixture
def leaves_nothing(oven_project: Project) -> Iterator[None]:
    """Compare what is at the engine and in the site before and after."""
    before = [see(oven_project) for see in (containers, images, secrets, open_ledgers)]
    yield
    after = [see(oven_project) for see in (containers, images, secrets, open_ledgers)]
    assert [now - then for then, now in zip(before, after, strict=True)] == [set()] * 4


def processes_of(token: str) -> dict[int, str]:
    """Find every process that was told a bake's token: Packer and what it started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if token in words:
            found[int(path.parent.name)] = words
    return found


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
    assert len(said.splitlines()) == 2


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


SECRET, PASSWORD = "s3cr3t-of-a-bake", "p4ssw0rd-of-a-proxy"
USES_SECRET = """
- name: Read what the bake was lent
  ansible.builtin.command: cat /run/ovenbird-bake/secrets/registry-token
  register: lent
  changed_when: false
  no_log: true

- name: See that it came
  ansible.builtin.assert:
    that: lent.stdout == lookup('ansible.builtin.file', token_file)
    quiet: true
  no_log: true
  vars:
    token_file: TOKEN_FILE
"""


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy(user="baker", password=PASSWORD) as proxy:
        yield proxy


def test_two_bakes_at_once_make_one_image_and_what_they_are_lent_stays_nowhere(
    oven_project: Project, proxy: ForwardProxy, tmp_path: Path
) -> None:
    token_file = tmp_path / "registry-token"
    token_file.write_text(SECRET)
    environment = f"proxy: {proxy.url}\nsecrets:\n  registry-token: file:{token_file}\n"
    role = (oven_project.folder / TASKS).read_text()
    role += USES_SECRET.replace("TOKEN_FILE", str(token_file))
    before = {image["ref"] for image in oven_project.document("image.list")["images"]}
    with (
        changed(oven_project, "inventories/bake/environment.yml", environment),
        changed(oven_project, TASKS, role),
    ):
        first = oven_project.start("bake", "web", "--verbose")
        first.until("Rendering")
        second = oven_project.start("bake", "web")
        second.until("Somebody else is baking web; waiting for them")
        said = [first.end(), second.end()]
    (made,) = [
        image
        for image in oven_project.document("image.list")["images"]
        if image["ref"] not in before
    ]
    assert [text.splitlines()[-1] for text in said] == [made["ref"], made["ref"]]
    assert proxy.served > 0
    assert proxy.refused == 0
    assert open_ledgers(oven_project) == set(), "what was kept and then removed is forgotten too"

    (artifact,) = made["artifacts"]
    for word in (SECRET, PASSWORD):
        assert not [text for text in said if word in text]
        assert word not in json.dumps(oven_project.document("image.show", made["ref"]))
        assert files_with(word, oven_project.site) == []
        assert not image_holds(oven_project, artifact["id"], word)
    assert image_holds(oven_project, artifact["id"], "ovenbird-web-page"), "the search finds"


def files_with(word: str, folder: Path) -> list[str]:
    done = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--text", word, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


def image_holds(project: Project, image: str, word: str) -> bool:
    """Search all layers and the configuration of an image, as they are saved: uncompressed."""
    saving = subprocess.Popen(
        ["podman", "save", "--quiet", image.removeprefix("sha256:")],
        stdout=subprocess.PIPE,
        env={**os.environ, "CONTAINERS_CONF": str(project.site / "containers.conf")},
    )
    with saving:
        found = subprocess.run(
            ["grep", "--count", "--text", "--fixed-strings", word],
            stdin=saving.stdout,
            capture_output=True,
            check=False,
        )
    assert saving.returncode == 0
    return found.returncode == 0
