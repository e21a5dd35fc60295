"""A checkout to try Ansible in: each try leaves a mark that says where it ran."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ovenbird.bake.guard import CONNECTION_PLUGINS

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
LOCAL_BAKE = "[bake]\n127.0.0.1 ansible_connection=local\n"


class Checkout:
    """A copy of what Ansible sees of this project, and one playbook that leaves the mark."""

    def __init__(self, root: Path) -> None:
        self.root, self.mark = root, root / "mark"
        for name in ("playbooks", "roles"):
            shutil.copytree(PROJECT / name, root / name, symlinks=True)
        (root / "inventories").mkdir()
        for name in ("ansible.cfg", "inventories/ansible.cfg"):
            shutil.copy(PROJECT / name, root / name)
        (root / "hosts").write_text(LOCAL_BAKE)
        (root / "empty.cfg").touch()
        self.playbook(f"- shell: '{self.leave_mark}'")

    @property
    def leave_mark(self) -> str:
        return f"echo ${{RAN_IN-here}} >> {self.mark}"

    def playbook(self, tasks: str, *, play: str = "hosts: bake", more: str = "") -> None:
        """Write ``playbooks/probe.yml``: one play with these tasks, and what follows it."""
        body = "".join(f"    {line}\n" for line in tasks.splitlines())
        head = f"- gather_facts: false\n  {play}\n  tasks:\n"
        (self.root / "playbooks/probe.yml").write_text(head + body + more)

    def run(
        self, *argv: str, cwd: str = "", env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        words = [word.replace("ROOT", str(self.root)) for word in argv]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "OVENBIRD_"))}
        path = f"{PROGRAMS}:{os.environ['PATH']}"
        ours = {"PATH": path, "HOME": str(self.root), "ANSIBLE_NOCOLOR": "1", **(env or {})}
        ours = {name: value.replace("ROOT", str(self.root)) for name, value in ours.items()}
        return subprocess.run(
            words, cwd=self.root / cwd, env=clean | ours, input=stdin, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def a_ledger(folder: Path, *, pid: int, since: str, into: Sequence[str] = ("false",)) -> str:
    ledger = {"pid": pid, "started": since, "name": "build", "into": list(into)}
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return str(folder / "ledger.json")


class Bake:
    """This test as a living bake, whose build instance is a shell with RAN_IN=build."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        pid, into = os.getpid(), ("env", "RAN_IN=build")
        ledger = a_ledger(checkout.root, pid=pid, since=started(pid), into=into)
        self.env = {
            "OVENBIRD_BAKE_LEDGER": ledger,
            "ANSIBLE_CONNECTION_PLUGINS": str(CONNECTION_PLUGINS),
            "ANSIBLE_HOST_KEY_CHECKING": "0",
        }
        extra = f"ansible_connection=build ansible_python_interpreter={sys.executable}"
        (checkout.root / "bake.yml").write_text("bake: {hosts: {build: {}}}\n")
        self.argv = ("ansible-playbook", "-i", "ROOT/bake.yml", "-e", extra)

    def run(self) -> subprocess.CompletedProcess[str]:
        return self.checkout.run(*self.argv, "playbooks/probe.yml", env=self.env)

    @property
    def marks(self) -> list[str]:
        mark = self.checkout.mark
        return mark.read_text().split() if mark.exists() else []
