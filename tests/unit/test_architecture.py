"""The planners decide and the executors act. This file keeps it that way."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from ovenbird.balancer import Balancer
from ovenbird.provider import Artifacts, Provider

HOUSE = Path(__file__).parents[2]
SOURCE = HOUSE / "src" / "ovenbird"

PURE = [
    "balancer/__init__.py",
    "catalog/lineage.py",
    "catalog/needs.py",
    "catalog/retention.py",
    "fleet/drift.py",
    "fleet/gate.py",
    "fleet/observe.py",
    "fleet/window.py",
    "packages/advisories.py",
    "provider/__init__.py",
    "rollout/bucket.py",
    "rollout/counts.py",
    "rollout/decision.py",
    "rollout/document.py",
    "rollout/endings.py",
    "rollout/plan.py",
    "rollout/preview.py",
    "rollout/rehearsal.py",
    "rollout/repair.py",
    *(f"values/{path.name}" for path in sorted((SOURCE / "values").glob("*.py"))),
]
WORLD = {
    "asyncio", "boto3", "docker", "httpx", "io", "logging", "os", "pathlib", "podman", "pylxd",
    "random", "secrets", "shutil", "socket", "sqlalchemy", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "uuid",
}  # fmt: skip
OWN_WORLD = {"process", "clock", "console", "config", "state", "tasks"}
CLOCKS = {"now", "utcnow", "today"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    froms = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return plain | froms


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_cannot_reach_the_world(module: str) -> None:
    names = imported(SOURCE / module)

    assert not {name.partition(".")[0] for name in names} & WORLD
    assert not {n.split(".")[1] for n in names if n.startswith("ovenbird.")} & OWN_WORLD


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_is_told_the_time_and_opens_nothing(module: str) -> None:
    calls = [
        n.func
        for n in ast.walk(ast.parse((SOURCE / module).read_text()))
        if isinstance(n, ast.Call)
    ]
    asked = {f.attr for f in calls if isinstance(f, ast.Attribute)} & CLOCKS
    opened = {f.id for f in calls if isinstance(f, ast.Name)} & {"open", "print", "input", "exec"}

    assert not asked | opened


@pytest.mark.parametrize("port", [Provider, Artifacts, Balancer])
def test_a_port_to_what_lives_cannot_say_run(port: type) -> None:
    said = {name.strip("_") for name in vars(port) if not name.startswith("__")}
    inside = {"run", "exec", "execute", "shell", "ssh", "push", "pull", "file", "copy", "attach"}

    assert said
    assert not {word for name in said for word in name.split("_")} & inside


def test_only_a_proof_opens_a_door_in_a_virtual_machine() -> None:
    """What is told to QEMU besides is a way in, so nothing that starts fleets may know of it."""
    told = {path.name for path in SOURCE.rglob("*.py") if re.search(r"\bExtra\b", path.read_text())}

    assert told == {"qemu.py", "qemu_launch.py", "oven_qemu_door.py"}


def test_the_tasks_are_imported_by_nobody() -> None:
    others = [p for p in SOURCE.rglob("*.py") if "tasks" not in p.relative_to(SOURCE).parts]

    assert not [
        str(p) for p in others if any(name.startswith("ovenbird.tasks") for name in imported(p))
    ]


def test_only_the_door_starts_processes() -> None:
    """`process.py` is the door; what runs inside a bake, apart from Ovenbird, has its own."""
    doors = {"process.py", "doctor.py", "provision.py"}
    others = [
        path
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[:2] != ("bake", "guard") and path.name not in doors
    ]

    assert not [str(path) for path in others if "subprocess" in imported(path)]


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}

    assert not {path.stem for path in SOURCE.rglob("*.py")} & empty


def test_the_floors_of_the_house_hold() -> None:
    assert lint_imports(str(HOUSE / "pyproject.toml"), no_cache=True) == 0


def test_a_unit_test_can_neither_start_a_process_nor_open_a_connection() -> None:
    with pytest.raises(pytest.fail.Exception, match="started a process"):
        subprocess.run(["true"], check=False)
    with pytest.raises(pytest.fail.Exception, match="opened a connection"), socket.socket() as s:
        s.connect(("127.0.0.1", 9))
