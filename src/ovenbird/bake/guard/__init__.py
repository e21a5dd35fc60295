"""Keeps Ansible's one door: says where a project has opened another, and puts the guard back.

What refuses at run time are three plug-ins in the folders beside this file. Two of them work only
beside the playbooks and are copied there byte for byte; the third, ``build``, is lent to each bake.
This module reads; only `restore` writes.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from ovenbird.bake.guard.inventories import faults_of_inventories
from ovenbird.bake.guard.playbooks import faults_of_playbooks
from ovenbird.values.errors import Fault

CONNECTION_PLUGINS = Path(__file__).parent / "connection_plugins"
"""The folder that a bake names in ANSIBLE_CONNECTION_PLUGINS."""

COPIES = (
    "callback_plugins/only_inside_a_bake.py",
    "vars_plugins/only_inside_a_bake_vars.py",
)

SETTINGS = {
    "playbook_dir": "playbooks",
    "callback_plugins": "playbooks/callback_plugins",
    "vars_plugins": "playbooks/vars_plugins",
    "bin_ansible_callbacks": "True",
}
"""What lends the guard to ``ansible`` without a playbook, in every folder that people work in."""

CONFIGURED = ("", "playbooks/", "roles/", "inventories/")

PUT_BACK = "Put the guard back: invoke dev.guard"


def faults_of(project: Path) -> list[Fault]:
    """Return every way in which this project lets Ansible out of a bake, sorted by file and line.

    Reads the guard's copies, ``ansible.cfg``, the playbooks and what they import, the roles and
    the inventories; runs nothing.
    """
    return sorted(
        [
            *_faults_of_copies(project),
            *_faults_of_settings(project),
            *faults_of_playbooks(project),
            *faults_of_inventories(project),
            *_faults_of_scenarios(project),
        ]
    )


def restore(project: Path) -> list[Path]:
    """Write the guard's copies and its settings where they differ or miss; return what changed.

    Other settings in an ``ansible.cfg`` stay, its comments do not.
    """
    written = []
    for copy in COPIES:
        ours, target = (Path(__file__).parent / copy).read_bytes(), project / "playbooks" / copy
        if target.is_symlink() or not target.is_file() or target.read_bytes() != ours:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_bytes(ours)
            written.append(target)
    for folder in CONFIGURED:
        if not (project / folder).is_dir() or not _wrong_settings(project, folder):
            continue
        target = project / folder / "ansible.cfg"
        settings = _read_settings(target)
        settings.setdefault("defaults", {})
        settings["defaults"].update(_settings_for(folder))
        with target.open("w") as stream:
            settings.write(stream)
        written.append(target)
    return written


def _faults_of_copies(project: Path) -> Iterator[Fault]:
    for copy in COPIES:
        target, ours = project / "playbooks" / copy, Path(__file__).parent / copy
        if target.is_symlink():
            problem = "the bake guard is a symbolic link, which Ansible resolves to another folder"
        elif not target.is_file():
            problem = "the bake guard is missing, so Ansible would run outside a bake"
        elif target.read_bytes() != ours.read_bytes():
            problem = "the bake guard was changed, or is another version's"
        else:
            continue
        yield Fault(file=f"playbooks/{copy}", line=0, problem=problem, remedy=PUT_BACK)


def _faults_of_settings(project: Path) -> Iterator[Fault]:
    for folder in CONFIGURED:
        if not (project / folder).is_dir():
            continue
        for setting in _wrong_settings(project, folder):
            yield Fault(
                file=f"{folder}ansible.cfg",
                line=0,
                problem=f"{setting} does not lend the bake guard to ansible without a playbook",
                remedy=PUT_BACK,
            )


def _settings_for(folder: str) -> dict[str, str]:
    up = "../" if folder else ""
    return {k: v if v == "True" else up + v for k, v in SETTINGS.items()}


def _wrong_settings(project: Path, folder: str) -> list[str]:
    """Return the settings of one folder that differ or miss; all of them for a broken file."""
    try:
        settings = _read_settings(project / folder / "ansible.cfg")
    except configparser.Error:
        return sorted(SETTINGS)
    wanted = _settings_for(folder).items()
    return [k for k, v in wanted if settings.get("defaults", k, fallback="") != v]


def _read_settings(file: Path) -> configparser.ConfigParser:
    # Ansible's own reader: no interpolation, and "#" begins a comment only at a line's start.
    settings = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    settings.read(file)
    return settings


def _faults_of_scenarios(project: Path) -> Iterator[Fault]:
    for file in sorted(project.glob("roles/*/molecule/*/**/*")):
        if file.is_file() and file.name != "molecule.yml":
            yield Fault(
                file=str(file.relative_to(project)),
                line=0,
                problem="a playbook of a Molecule scenario runs without the bake guard",
                remedy="Keep only molecule.yml here; it names playbooks/converge.yml.",
            )
