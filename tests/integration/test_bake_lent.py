"""What a bake is lent stays in no image, log, or file, also with two bakes at once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.baking import TASKS, changed, open_ledgers
from tests.forward_proxy import ForwardProxy
from tests.project import Project

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
