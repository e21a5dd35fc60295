"""What changes an image's fingerprint, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.broken import mutation
from tests.broken.mutation import Break, all_of, copy_of_this_project, write
from tests.builders import a_version

from ovenbird.bake.ingredients import recipe_of
from ovenbird.config import load_bake_variables, load_families
from ovenbird.values.image import Version
from ovenbird.values.recipe import Change, Recipe, explain

PARENT = a_version(1, family="base")
IMAGES, TASKS = "packer/images.yml", "roles/web/tasks/main.yml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_this_project(tmp_path)


def recipe(project: Path, *, family: str = "web", parent: Version | None = PARENT) -> Recipe:
    return recipe_of(
        load_families(project)[family],
        project=project,
        variables=load_bake_variables(project),
        parent=None if family == "base" else parent,
    )


def add(file: str, text: str) -> Break:
    def breaks(project: Path) -> None:
        path = project / file
        path.write_text(path.read_text() + text)

    return breaks


def executable(file: str) -> Break:
    def breaks(project: Path) -> None:
        (project / file).chmod(0o755)

    return breaks


CHANGES = {
    "a task of its role": (add(TASKS, "# \n"), "changed", TASKS),
    "a new file of its role": (write("roles/web/files/x", ""), "added", "roles/web/files/x"),
    "the x bit of a file": (executable(TASKS), "changed", TASKS),
    "its playbook": (add("playbooks/web.yml", "# \n"), "changed", "playbooks/web.yml"),
    "the seal": (add("playbooks/seal.yml", "# \n"), "changed", "playbooks/seal.yml"),
    "a role of the seal": (write("roles/seal/files/x", ""), "added", "roles/seal/files/x"),
    "a variable of the family": (
        mutation.replace(IMAGES, "web_title: Ovenbird", "web_title: Other"),
        "changed",
        "variable web_title",
    ),
    "another variable of the family": (
        mutation.replace(
            IMAGES, "web_title: Ovenbird", "web_title: Ovenbird\n      web_colour: red"
        ),
        "added",
        "variable web_colour",
    ),
    "a variable of every bake": (
        write("inventories/bake/variables.yml", "colour: red\n"),
        "added",
        "bake variable colour",
    ),
    "its launch contract": (
        mutation.replace(IMAGES, "port: 80", "port: 81"),
        "changed",
        "launch contract",
    ),
    "what lies beside the playbooks": (
        write("playbooks/group_vars/all.yml", "a: 1\n"),
        "added",
        "playbooks/group_vars/all.yml",
    ),
    "a role that another role needs": (
        all_of(
            write("roles/tls/tasks/main.yml", "[]\n"),
            write("roles/web/meta/main.yml", "dependencies: [tls]\n"),
        ),
        "added",
        "roles/tls/tasks/main.yml",
    ),
}


@pytest.mark.parametrize(("change", "what", "name"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_another_fingerprint_and_is_explained(
    change: Break, what: str, name: str, project: Path
) -> None:
    before = recipe(project)
    change(project)
    after = recipe(project)

    assert before.fingerprint != after.fingerprint
    assert Change(what=what, name=name) in explain(before, after)


NO_CHANGES = {
    "a scenario of Molecule": write("roles/web/molecule/default/molecule.yml", "a: 1\n"),
    "a proof": write("tests/images/test_family_web.py", "# \n"),
    "the test values of a proof": mutation.replace(IMAGES, "hello from prove", "hi"),
    "a role that it does not reach": write("roles/other/tasks/main.yml", "[]\n"),
    "another family's playbook": add("playbooks/base.yml", "# \n"),
    "a comment in images.yml": add(IMAGES, "# \n"),
    "a fleet": mutation.replace("inventories/dev/fleets.yml", "size: 3", "size: 2"),
    "what a bake is lent": write("inventories/bake/environment.yml", "proxy: http://proxy:3142\n"),
    "what Python compiled": write("roles/web/library/__pycache__/x.pyc", b"\0"),
    "the guard's copy": add("playbooks/callback_plugins/only_inside_a_bake.py", "# \n"),
    "the engine's source template": add("packer/source.podman.pkr.hcl.j2", "# \n"),
    "whether others may read a file": lambda project: (project / TASKS).chmod(0o600),
}


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_a_change_of_what_is_no_ingredient_makes_no_other_fingerprint(
    change: Break, project: Path
) -> None:
    before = recipe(project)
    change(project)

    assert explain(before, recipe(project)) == ()


@pytest.mark.parametrize(
    "other",
    [replace(PARENT, fingerprint="f" * 64), replace(PARENT, packages="f" * 64)],
    ids=["another recipe", "other packages"],
)
def test_a_parent_of_another_identity_makes_another_fingerprint(
    other: Version, project: Path
) -> None:
    changes = explain(recipe(project), recipe(project, parent=other))

    assert changes == (Change(what="changed", name="parent"),)


def test_the_same_parent_under_another_number_makes_no_other_fingerprint(project: Path) -> None:
    renumbered = replace(PARENT, number=7)

    assert recipe(project).fingerprint == recipe(project, parent=renumbered).fingerprint


def test_what_a_base_is_made_from_is_an_ingredient(project: Path) -> None:
    before = recipe(project, family="base")
    mutation.replace(IMAGES, "python3, ca-", "python3, curl, ca-")(project)

    changes = explain(before, recipe(project, family="base"))

    assert changes == (Change(what="changed", name="definition"),)


def test_the_checkout_may_lie_anywhere(tmp_path: Path) -> None:
    here, there = (copy_of_this_project(tmp_path / name) for name in ("here", "there"))

    assert recipe(here).fingerprint == recipe(there).fingerprint


def test_two_families_of_one_content_are_two_recipes() -> None:
    content = {"a": b"1"}

    assert Recipe.of("web", content).fingerprint != Recipe.of("shop", content).fingerprint


def test_an_ingredient_is_a_file_of_the_project_or_a_key_of_its_entry(project: Path) -> None:
    """No tool's version is among them: an upgrade of Ansible must not roll production."""
    names = {name for name, _ in recipe(project).inputs}
    files = {name for name in names if (project / name).is_file()}
    keys = {"parent", "definition", "sources", "launch contract", "variable web_title"}

    assert names - files == keys
    assert {"/".join(name.split("/")[:2]) for name in files} == {
        *("playbooks/web.yml", "playbooks/seal.yml", "roles/web", "roles/seal")
    }
