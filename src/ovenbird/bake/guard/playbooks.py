"""Reads playbooks and roles for what aims at anything but the build instance.

Inside a bake the ``build`` connection refuses all of this before it connects. Said here, with file
and line, nobody has to bake for ten minutes to hear it. What runs on the controller itself (look-up
plug-ins, plug-ins of a role) is out of the connection's reach: this is the only place that sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ovenbird.bake.guard.documents import Unreadable, line_of, load, pairs
from ovenbird.values.errors import Fault

ONLY_BAKE = "Write `hosts: bake`: the build instance is all that Ansible reaches here."
DROP_IT = "Leave it out: every task runs in the build instance, and nowhere else."

OUT_OF_A_BAKE = {
    "connection": "chooses a connection",
    "delegate_to": "sends a task to another host",
    "local_action": "runs a task on this machine",
    "add_host": "adds a host",
    "ansible.builtin.add_host": "adds a host",
    "ansible_connection": "chooses a connection",
    "ansible_host": "aims at another host",
    "with_pipe": "starts a program on this machine",
    "vars_prompt": "asks a person, and a bake has nobody to ask",
}
PIPE = re.compile(r"""\b(lookup|query|q)\(\s*['"](ansible\.builtin\.)?pipe['"]""")
OUR_PLUGINS = {
    "callback_plugins/only_inside_a_bake.py",
    "vars_plugins/only_inside_a_bake_vars.py",
}
PLUGINS = ("action", "become", "callback", "connection", "inventory", "shell", "strategy", "vars")
"""Kinds of plug-ins that decide how, where and whether Ansible runs; filters and tests may be."""


def faults_of_playbooks(project: Path) -> Iterator[Fault]:
    """Yield what is wrong in the playbooks, in what they import, and in the roles."""
    seen: set[Path] = set()
    for playbook in sorted([*project.glob("playbooks/*.yml"), *project.glob("playbooks/*.yaml")]):
        yield from _faults_of_playbook(project, playbook, seen)
    roles = project / "roles"
    for kind in ("tasks", "handlers", "vars", "defaults", "meta"):
        for file in sorted(roles.glob(f"*/{kind}/**/*.y*ml")):
            yield from _faults_of_file(project, file)
    yield from _faults_of_plugins(project)


def _faults_of_playbook(project: Path, playbook: Path, seen: set[Path]) -> Iterator[Fault]:
    if playbook.resolve() in seen:
        return
    seen.add(playbook.resolve())
    yield from _faults_of_file(project, playbook)
    try:
        plays = load(playbook)
    except Unreadable:
        return
    name = _named(project, playbook)
    if not isinstance(plays, Sequence) or isinstance(plays, str):
        yield Fault(file=name, line=1, problem="this is not a list of plays", remedy=ONLY_BAKE)
        return
    for index, play in enumerate(plays):
        if not isinstance(play, Mapping):
            continue
        imported = play.get("import_playbook", play.get("ansible.builtin.import_playbook"))
        if imported is not None:
            yield from _faults_of_import(project, playbook, play, imported, seen)
        elif play.get("hosts") != "bake":
            yield Fault(
                file=name,
                line=line_of(play, "hosts") if "hosts" in play else line_of(plays, index),
                problem=f"a play's hosts are {play.get('hosts')!s}, and not bake",
                remedy=ONLY_BAKE,
            )


def _faults_of_import(
    project: Path, playbook: Path, play: Mapping[str, object], imported: object, seen: set[Path]
) -> Iterator[Fault]:
    target = playbook.parent / str(imported)
    if "{{" not in str(imported) and target.is_file():
        yield from _faults_of_playbook(project, target, seen)
        return
    key = next(key for key in play if str(key).endswith("import_playbook"))
    yield Fault(
        file=_named(project, playbook),
        line=line_of(play, key),
        problem=f"the imported playbook {imported!s} cannot be followed",
        remedy="Name a file beside this one, without a variable, or import nothing.",
    )


def _faults_of_file(project: Path, file: Path) -> Iterator[Fault]:
    """Yield what one file of tasks, plays or variables says that no bake can do."""
    name = _named(project, file)
    try:
        document = load(file)
    except Unreadable as fault:
        problem = f"this is not YAML: {fault}"
        yield Fault(file=name, line=fault.line, problem=problem, remedy="Correct it.")
        return
    for key, value, line in pairs(document):
        if isinstance(key, str) and key in OUT_OF_A_BAKE:
            problem = f"`{key}` {OUT_OF_A_BAKE[key]}"
            yield Fault(file=name, line=line, problem=problem, remedy=DROP_IT)
        if isinstance(value, str) and PIPE.search(value):
            problem = "the look-up `pipe` starts a program on this machine"
            yield Fault(file=name, line=line, problem=problem, remedy=DROP_IT)


def _faults_of_plugins(project: Path) -> Iterator[Fault]:
    for kind in PLUGINS:
        ours = {project / "playbooks" / plugin for plugin in OUR_PLUGINS}
        for pattern in (f"playbooks/{kind}_plugins/*.py", f"roles/*/{kind}_plugins/*.py"):
            for file in sorted(set(project.glob(pattern)) - ours):
                yield Fault(
                    file=_named(project, file),
                    line=0,
                    problem=f"{kind} plug-ins run on this machine and can open another door",
                    remedy="Leave it out, or do its work in a module, which runs in the instance.",
                )


def _named(project: Path, file: Path) -> str:
    """Return a path as a person knows it: relative to the project where it lies in it."""
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
