"""Which roles a playbook reaches, read from the files and never by running them.

The recipe's fingerprint holds every file of these roles. So what cannot be followed from the
files alone (a role whose name is a template, task files beside a playbook) is refused: it would
change an image without changing its fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, Loc, read
from ovenbird.values.errors import ConfigurationError, Fault

_BUILTIN = re.compile(r"^ansible\.(builtin|legacy)\.")
_FREE_FORM = re.compile(r"(?:^|\s)name=(\S+)")
_UNFOLLOWED = ("import_playbook", "import_tasks", "include_tasks", "include_vars", "vars_files")

Use = tuple[Loc, object]
"""Where a role is named, and what stands there as its name."""


def reach(project: Path, playbook: str) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    """The roles in the order of their discovery, and everything that is wrong on the way.

    Follows ``roles:``, ``include_role``, ``import_role`` and the dependencies in ``meta/``.
    """
    folders = project / "roles"
    known = {f.name for f in folders.iterdir() if f.is_dir()} if folders.is_dir() else set[str]()
    faults: list[Fault] = []
    reached: dict[str, None] = {}
    documents = _documents(project, [playbook], faults)
    faults += [fault for document in documents for fault in _plays_faults(document)]
    uses = [(document, use) for document in documents for use in _in_plays(document.data)]
    while uses:
        document, (loc, named) = uses.pop(0)
        fault = _name_fault(document, loc, named, known)
        if fault is not None:
            faults.append(fault)
        elif (name := str(named)) not in reached:
            reached[name] = None
            uses += _in_role(project, name, faults)
    return tuple(reached), tuple(dict.fromkeys(faults))


def _name_fault(document: Document, loc: Loc, named: object, known: set[str]) -> Fault | None:
    here = allowed(known, what="Roles here")
    if not isinstance(named, str):
        return document.fault(loc, f"A role's name is text, not {kind_of(named)}.", here)
    if "{{" in named or "{%" in named:
        return document.fault(
            loc,
            f"The role {named!r} cannot be followed: its name is a template.",
            "Name the role itself, and choose with when:.",
        )
    if named in known:
        return None
    hint = did_you_mean(named, known)
    return document.fault(loc, f"There is no role {named!r} in the folder roles.{hint}", here)


def _in_role(project: Path, name: str, faults: list[Fault]) -> list[tuple[Document, Use]]:
    """What the files of one role name: its dependencies, and what its tasks include."""
    folder = project / "roles" / name
    files = [
        str(path.relative_to(project))
        for part in ("meta", "tasks", "handlers")
        for path in sorted((folder / part).rglob("*.y*ml"))
    ]
    uses: list[tuple[Document, Use]] = []
    for document in _documents(project, files, faults):
        in_meta = Path(document.file).parent == Path("roles", name, "meta")
        found = _in_meta(document.data) if in_meta else _in_tasks(document.data, ())
        uses += [(document, use) for use in found]
    return uses


def _documents(project: Path, files: list[str], faults: list[Fault]) -> list[Document]:
    """Those of the files that parse; the others become faults."""
    documents = []
    for file in files:
        try:
            documents.append(read(project, file))
        except ConfigurationError as error:
            faults += error.faults
    return documents


def _plays_faults(document: Document) -> Iterator[Fault]:
    """What makes a playbook more than plays of roles and tasks of its own."""
    plays = document.data
    if not isinstance(plays, list) or not all(isinstance(play, dict) for play in plays):
        yield document.fault(
            (),
            "A playbook is a list of plays.",
            "Write: - {hosts: bake, roles: [NAME]}",
        )
        return
    for loc, key in _keys(plays, ()):
        short = _BUILTIN.sub("", key)
        if short in _UNFOLLOWED:
            yield document.fault(
                (*loc, key),
                f"{short} beside a playbook is no part of the recipe.",
                "Move what it names into a role; a playbook names roles and tasks of its own.",
                key=True,
            )


def _keys(value: object, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """The keys of plays and their tasks, but not of what a task is given."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _keys(item, (*loc, number))
    elif isinstance(value, dict):
        for key, child in value.items():
            yield loc, str(key)
            if key in _TASKS or key in _BLOCKS:
                yield from _keys(child, (*loc, key))


_TASKS = ("pre_tasks", "tasks", "post_tasks", "handlers")
_BLOCKS = ("block", "rescue", "always")


def _in_plays(plays: object) -> Iterator[Use]:
    for number, play in enumerate(plays if isinstance(plays, list) else []):
        if isinstance(play, dict):
            yield from _in_list(play.get("roles"), (number, "roles"))
            for key in _TASKS:
                yield from _in_tasks(play.get(key), (number, key))


def _in_meta(meta: object) -> Iterator[Use]:
    if isinstance(meta, dict):
        yield from _in_list(meta.get("dependencies"), ("dependencies",))


def _in_list(roles: object, loc: Loc) -> Iterator[Use]:
    """``[web, {role: tls}, {name: tls}]``"""
    for number, role in enumerate(roles if isinstance(roles, list) else []):
        if isinstance(role, dict):
            key = "role" if "role" in role else "name"
            yield (*loc, number, key), role.get(key)
        else:
            yield (*loc, number), role


def _in_tasks(tasks: object, loc: Loc) -> Iterator[Use]:
    for number, task in enumerate(tasks if isinstance(tasks, list) else []):
        if not isinstance(task, dict):
            continue
        here = (*loc, number)
        for key in _BLOCKS:
            yield from _in_tasks(task.get(key), (*here, key))
        for key, given in task.items():
            if _BUILTIN.sub("", str(key)) not in ("include_role", "import_role"):
                continue
            if isinstance(given, dict):
                yield (*here, key, "name"), given.get("name")
            elif isinstance(given, str) and (free := _FREE_FORM.search(given)):
                yield (*here, key), free[1]
            else:
                arguments = task.get("args")
                named = arguments.get("name") if isinstance(arguments, dict) else None
                yield (*here, key), named
