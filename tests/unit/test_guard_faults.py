"""The bake guard's reading of a project: one sound project, and one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ovenbird.bake.guard import COPIES, faults_of, restore

SOUND = {
    "playbooks/web.yml": "- name: Bake\n  hosts: bake\n  roles:\n    - role: web\n",
    "roles/web/tasks/main.yml": "- name: Say\n  ansible.builtin.debug:\n    msg: hello\n",
    "roles/web/molecule/default/molecule.yml": "driver:\n  name: default\n",
    "inventories/dev/fleets.yml": "fleets:\n  hosts:\n    children: 1\n",
    "inventories/bake/variables.yml": "web_title: Ovenbird\nhosts: [a]\nx: {hosts: 1, port: 2}\n",
    "inventories/README.md": "Fleets, never hosts.\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, SOUND)
    restore(tmp_path)
    return tmp_path


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)


def places(project: Path) -> list[tuple[str, int]]:
    return [(fault.file, fault.line) for fault in faults_of(project)]


def test_a_sound_project_has_no_fault(project: Path) -> None:
    assert faults_of(project) == []


def test_this_project_has_no_fault() -> None:
    assert faults_of(Path(__file__).resolve().parents[2]) == []


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_text(file.read_text() + "\n"),
        lambda file: file.write_text(""),
    ],
    ids=["missing", "changed", "emptied"],
)
def test_a_damaged_copy_is_named_with_its_remedy_and_restored(
    project: Path, copy: str, damage: Callable[[Path], object]
) -> None:
    damage(project / "playbooks" / copy)
    assert [(f.file, f.remedy) for f in faults_of(project)] == [
        (f"playbooks/{copy}", "Put the guard back: invoke dev.guard")
    ]
    assert restore(project) == [project / "playbooks" / copy]
    assert faults_of(project) == []


def test_a_symbolic_link_is_no_copy_and_restoring_leaves_its_target_alone(project: Path) -> None:
    copy, elsewhere = project / "playbooks" / COPIES[0], project / "elsewhere.py"
    copy.rename(elsewhere)
    copy.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert places(project) == [(f"playbooks/{COPIES[0]}", 0)]
    restore(project)
    assert not copy.is_symlink()
    assert elsewhere.read_bytes() == before


def test_settings_that_lose_the_guard_are_named_and_restored_beside_the_users_own(
    project: Path,
) -> None:
    settings = project / "ansible.cfg"
    settings.write_text("[defaults]\nforks = 7\ncallback_plugins = elsewhere\n")
    assert {fault.file for fault in faults_of(project)} == {"ansible.cfg"}
    assert restore(project) == [settings]
    assert faults_of(project) == []
    assert "forks = 7" in settings.read_text()


def test_a_sound_project_is_not_written_to(project: Path) -> None:
    assert restore(project) == []


WRONG = {
    "another group": ("playbooks/web.yml", "- hosts: web\n", 1),
    "all hosts": ("playbooks/web.yml", "- name: x\n  hosts: all\n", 2),
    "a list": ("playbooks/web.yml", "- hosts: [bake, web]\n", 1),
    "a pattern": ("playbooks/web.yml", "- hosts: bake:prod\n", 1),
    "a variable": ("playbooks/web.yml", "- hosts: '{{ who }}'\n", 1),
    "no hosts": ("playbooks/web.yml", "- hosts: bake\n- tasks: []\n", 2),
    "the second play": ("playbooks/web.yml", "- hosts: bake\n\n- hosts: prod\n", 3),
    "a play with a connection": ("playbooks/a.yml", "- hosts: bake\n  connection: local\n", 2),
    "a play that asks": ("playbooks/a.yml", "- hosts: bake\n  vars_prompt: []\n", 2),
    "no playbook at all": ("playbooks/web.yml", "hosts: bake\n", 1),
    "broken YAML": ("playbooks/web.yml", "- hosts: bake\n  x: [\n", 3),
    "an import of nothing": ("playbooks/a.yml", "- import_playbook: gone.yml\n", 1),
    "an import by variable": ("playbooks/a.yml", "- import_playbook: '{{ x }}.yml'\n", 1),
    "delegation": ("roles/web/tasks/main.yml", "- command: x\n  delegate_to: prod\n", 2),
    "a block's delegation": ("roles/web/tasks/x.yml", "- block:\n    - delegate_to: a\n", 2),
    "an applied delegation": (
        "roles/web/tasks/main.yml",
        "- include_role:\n    name: x\n    apply:\n      delegate_to: prod\n",
        4,
    ),
    "a local action": ("roles/web/handlers/main.yml", "- local_action: command x\n", 1),
    "an added host": ("roles/web/tasks/main.yml", "- ansible.builtin.add_host:\n    name: x\n", 1),
    "a variable of a task": (
        "roles/web/tasks/main.yml",
        "- command: x\n  vars:\n    ansible_connection: ssh\n",
        3,
    ),
    "a variable of a role": ("roles/web/defaults/main.yml", "ansible_host: prod\n", 1),
    "a program on the controller": (
        "roles/web/tasks/main.yml",
        "- debug:\n    msg: \"{{ lookup('pipe', 'ssh prod') }}\"\n",
        2,
    ),
    "an action plug-in": ("roles/web/action_plugins/x.py", "", 0),
    "a connection plug-in that shadows ours": ("playbooks/connection_plugins/build.py", "", 0),
    "a scenario with a playbook": ("roles/web/molecule/default/converge.yml", "[]\n", 0),
    "an INI inventory": ("inventories/dev/hosts", "# ours\n\n[web]\nprod1\n", 3),
    "a bare host": ("inventories/dev/hosts.ini", "prod1\n", 1),
    "a YAML inventory": ("inventories/dev/hosts.yml", "all:\n  hosts:\n    prod1:\n", 1),
    "a nested group": ("inventories/dev/a.yml", "x: 1\nweb:\n  children:\n    a:\n", 2),
    "a JSON inventory": ("inventories/dev/a.json", '{"web": {"hosts": {"p": {}}}}', 1),
    "an inventory plug-in": ("inventories/aws_ec2.yml", "plugin: amazon.aws.aws_ec2\n", 1),
}


@pytest.mark.parametrize(("file", "text", "line"), WRONG.values(), ids=WRONG)
def test_each_other_door_is_found_with_its_line(
    project: Path, file: str, text: str, line: int
) -> None:
    write(project, {file: text})
    assert places(project) == [(file, line)]


def test_an_inventory_that_is_a_program_is_found(project: Path) -> None:
    write(project, {"inventories/dev/ask.yml": "x: 1\n"})
    (project / "inventories/dev/ask.yml").chmod(0o755)
    assert places(project) == [("inventories/dev/ask.yml", 0)]


def test_an_imported_playbook_is_read_too_and_a_circle_ends(project: Path) -> None:
    write(
        project,
        {
            "playbooks/a.yml": "- import_playbook: more/b.yml\n",
            "playbooks/more/b.yml": "- import_playbook: ../a.yml\n- hosts: prod\n",
        },
    )
    assert places(project) == [("playbooks/more/b.yml", 2)]


def test_tags_of_ansible_are_no_fault(project: Path) -> None:
    text = "- hosts: bake\n  vars:\n    a: !unsafe '{{ x }}'\n    b: !vault |\n      $ANSIBLE\n"
    write(project, {"playbooks/web.yml": text})
    assert faults_of(project) == []


def test_every_fault_is_told_at_once_in_the_order_of_the_files(project: Path) -> None:
    write(project, {"playbooks/z.yml": "- hosts: z\n", "inventories/hosts": "prod\n"})
    (project / "playbooks" / COPIES[0]).unlink()
    assert places(project) == [
        ("inventories/hosts", 1),
        (f"playbooks/{COPIES[0]}", 0),
        ("playbooks/z.yml", 1),
    ]
