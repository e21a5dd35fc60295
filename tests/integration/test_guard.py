"""Ansible's one door, tried with the real programs: outside a bake, and out of one.

Every try would leave a mark that says where it ran. Outside a bake there must be none; inside, the
build instance of these tests is this machine with one variable more, which the mark then holds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ovenbird.bake.guard import CONNECTION_PLUGINS

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
NOT_A_BAKE = "this is not a bake"
REFUSED = "REFUSED: this bake reaches only its build instance 'build'"
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
        return subprocess.run(
            words, cwd=self.root / cwd, env=clean | ours, input=stdin, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def a_ledger(folder: Path, *, pid: int, since: str, into: Sequence[str] = ("false",)) -> str:
    ledger = {"pid": pid, "started": since, "name": "build", "into": list(into)}
    (folder / "ledger.json").write_text(json.dumps(ledger))
    return str(folder / "ledger.json")


PROBE = ("ansible-playbook", "-i", "ROOT/hosts", "ROOT/playbooks/probe.yml")
ADHOC = (
    "ansible",
    "all",
    "-i",
    "127.0.0.1,",
    "-c",
    "local",
    "-m",
    "shell",
    "-a",
    "touch ROOT/mark",
)

OUTSIDE: dict[str, tuple[Sequence[str], str, Mapping[str, str]]] = {
    "a local inventory": (PROBE, "", {}),
    "a local connection": (
        ("ansible-playbook", "-i", "127.0.0.1,", "-c", "local", "playbooks/web.yml"), "", {},
    ),
    "an ssh inventory": (("ansible-playbook", "-i", "prod1.example,", *PROBE[3:]), "", {}),
    "no host that matches": (("ansible-playbook", *PROBE[3:]), "", {}),
    "a check": ((*PROBE, "--check"), "", {}),
    "a start in the middle": ((*PROBE, "--start-at-task", "shell"), "", {}),
    "extra variables": ((*PROBE, "-e", "ansible_connection=local"), "", {}),
    "an empty configuration": (PROBE, "", {"ANSIBLE_CONFIG": "/dev/null"}),
    "another folder of the checkout": (PROBE, "roles/web", {}),
    "another folder of the checkout, by a relative path": (
        (*PROBE[:3], "../../playbooks/web.yml"), "roles/web", {},
    ),
    "a folder elsewhere": (PROBE, "/", {}),
    "callbacks switched off": (PROBE, "", {"ANSIBLE_CALLBACKS_ENABLED": ""}),
    "a ledger that is not there": (PROBE, "", {"OVENBIRD_BAKE_LEDGER": "/nowhere"}),
    "a ledger that is no ledger": (PROBE, "", {"OVENBIRD_BAKE_LEDGER": "/etc/hostname"}),
    "without a playbook": (ADHOC, "", {}),
    "without a playbook, beside the playbooks": (ADHOC, "playbooks", {}),
    "without a playbook, beside the roles": (ADHOC, "roles", {}),
    "without a playbook, beside the inventories": (ADHOC, "inventories", {}),
}  # fmt: skip


@pytest.mark.parametrize(("argv", "cwd", "env"), OUTSIDE.values(), ids=OUTSIDE)
def test_outside_a_bake_ansible_ends_before_any_task(
    checkout: Checkout, argv: Sequence[str], cwd: str, env: Mapping[str, str]
) -> None:
    done = checkout.run(*argv, cwd=cwd, env=env)
    assert done.returncode != 0
    assert NOT_A_BAKE in done.stderr
    assert "TASK" not in done.stdout
    assert not checkout.mark.exists()


def test_the_console_of_ansible_runs_nothing(checkout: Checkout) -> None:
    argv = ("ansible-console", "-i", "127.0.0.1,", "-c", "local", "all")
    done = checkout.run(*argv, stdin=f"shell {checkout.leave_mark}\nexit\n")
    assert NOT_A_BAKE in done.stdout + done.stderr
    assert not checkout.mark.exists()


def test_an_ansible_from_outside_the_environment_is_refused_too(
    checkout: Checkout, tmp_path: Path
) -> None:
    foreign = tmp_path / "bin" / "ansible-playbook"
    foreign.parent.mkdir()
    foreign.write_text(f"#!{sys.executable}\nfrom ansible.cli.playbook import main\nmain()\n")
    foreign.chmod(0o755)
    done = checkout.run(str(foreign), *PROBE[1:], env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, NOT_A_BAKE in done.stderr) == (2, True)
    assert not checkout.mark.exists()


def test_the_ledgers_of_a_dead_and_of_another_bake_open_nothing(
    checkout: Checkout, tmp_path: Path
) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        for pid, since in ((os.getpid(), "1"), (other.pid, started(other.pid)), (2**22 - 1, "1")):
            ledger = a_ledger(tmp_path, pid=pid, since=since)
            done = checkout.run(*PROBE, env={"OVENBIRD_BAKE_LEDGER": ledger})
            assert (done.returncode, NOT_A_BAKE in done.stderr) == (2, True)
    finally:
        other.kill()
        other.wait()
    assert not checkout.mark.exists()


def test_a_callback_of_the_same_name_leaves_the_second_line(
    checkout: Checkout, tmp_path: Path
) -> None:
    # What somebody gets who empties the first line by hand: `invoke check` finds that as well.
    first = checkout.root / "playbooks/callback_plugins/only_inside_a_bake.py"
    shadow = first.read_text().replace("if why := why_not():\n            refuse(why)", "return")
    assert shadow != first.read_text()
    first.write_text(shadow)
    done = checkout.run(*PROBE)
    assert (done.returncode != 0, NOT_A_BAKE in done.stdout + done.stderr) == (True, True)
    assert not checkout.mark.exists()


@pytest.mark.parametrize("ask", ["--syntax-check", "--list-tasks"])
def test_reading_a_playbook_is_allowed_outside_a_bake(checkout: Checkout, ask: str) -> None:
    assert checkout.run("ansible-playbook", ask, "playbooks/web.yml", cwd="").returncode == 0


def test_ansible_lint_reads_the_playbooks(checkout: Checkout) -> None:
    argv = ("ansible-lint", "--offline", "--nocolor", "playbooks/web.yml")
    done = checkout.run(*argv, env={"ANSIBLE_HOME": str(checkout.root / "ansible")})
    assert done.returncode == 0, done.stdout + done.stderr


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


@pytest.fixture
def bake(checkout: Checkout) -> Iterator[Bake]:
    yield Bake(checkout)


def test_inside_a_bake_tasks_run_in_the_build_instance(bake: Bake) -> None:
    done = bake.run()
    assert (done.returncode, bake.marks) == (0, ["build"]), done.stdout


def test_files_get_there_and_back(bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(bytes(range(256)) * 1000)
    bake.checkout.playbook(
        f"- copy: {{src: {tmp_path}/sent, dest: '{tmp_path}/it''s there', mode: '0640'}}\n"
        f"- fetch: {{src: '{tmp_path}/it''s there', dest: {tmp_path}/back, flat: true}}\n"
        "- meta: reset_connection"
    )
    done = bake.run()
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()


AWAY = {
    "delegate_to localhost": "- {shell: MARK, delegate_to: localhost}",
    "delegate_to a name": "- {shell: MARK, delegate_to: prod1.example}",
    "delegate_to an address": "- {shell: MARK, delegate_to: 127.0.0.1}",
    "delegate_to in a loop": "- {shell: MARK, delegate_to: '{{ item }}', loop: [p.example]}",
    "delegate_to with its own connection": (
        "- {shell: MARK, delegate_to: p.example, vars: {ansible_connection: local}}"
    ),
    "delegate_to of a block": "- {block: [{shell: MARK}], delegate_to: p.example}",
    "delegated facts": "- {setup: {}, delegate_to: p.example, delegate_facts: true}",
    "delegated in the background": "- {shell: MARK, async: 5, poll: 1, delegate_to: p.example}",
    "raw": "- {raw: MARK, delegate_to: p.example}",
    "a script": "- {script: /bin/true, delegate_to: p.example}",
    "a fetch": "- {fetch: {src: /etc/hostname, dest: ROOT/mark}, delegate_to: p.example}",
    "a copy": "- {copy: {content: away, dest: ROOT/mark}, delegate_to: localhost}",
    "waiting for a connection": (
        "- {wait_for_connection: {timeout: 1, connect_timeout: 1}, delegate_to: p.example}"
    ),
    "local_action": "- {local_action: {module: shell, _raw_params: MARK}}",
    "a host of a task": "- {shell: MARK, vars: {ansible_host: prod1.example}}",
    "a host as a fact": "- {set_fact: {ansible_host: p.example}}\n- {shell: MARK}",
    "an added host": (
        "- {add_host: {name: p.example, ansible_connection: local}}\n"
        "- {shell: MARK, delegate_to: p.example}"
    ),
    "an included role": (
        "- {include_role: {name: probe, apply: {delegate_to: p.example}}}"
    ),
    "an imported role": "- {import_role: {name: probe}, delegate_to: p.example}",
}  # fmt: skip


@pytest.mark.parametrize("tasks", AWAY.values(), ids=AWAY)
def test_what_aims_at_another_host_is_refused_before_it_connects(bake: Bake, tasks: str) -> None:
    root, mark = str(bake.checkout.root), json.dumps(bake.checkout.leave_mark)
    role = bake.checkout.root / "roles/probe/tasks/main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(f"- shell: {mark}\n")
    bake.checkout.playbook(tasks.replace("MARK", mark).replace("ROOT", root))
    done = bake.run()
    assert done.returncode != 0
    assert REFUSED in done.stdout + done.stderr
    assert bake.marks == []


def test_an_added_host_in_the_group_of_the_bake_is_refused_in_the_next_play(bake: Bake) -> None:
    mark = json.dumps(bake.checkout.leave_mark)
    bake.checkout.playbook(
        "- {add_host: {name: p.example, groups: bake, ansible_connection: local}}",
        more=f"- {{hosts: bake, gather_facts: false, tasks: [{{shell: {mark}}}]}}\n",
    )
    done = bake.run()
    assert (done.returncode != 0, REFUSED in done.stdout) == (True, True)
    assert set(bake.marks) <= {"build"}


STAYS = {
    "a task's connection": ("- {shell: MARK, connection: local}", "hosts: bake"),
    "a play's connection": ("- {shell: MARK}", "hosts: bake\n  connection: local"),
    "a task's variable": ("- {shell: MARK, vars: {ansible_connection: local}}", "hosts: bake"),
    "a play's variable": ("- {shell: MARK}", "hosts: bake\n  vars: {ansible_connection: ssh}"),
    "a fact": ("- {set_fact: {ansible_connection: local}}\n- {shell: MARK}", "hosts: bake"),
    "a strategy": ("- {shell: MARK, connection: local}", "hosts: bake\n  strategy: free"),
}


@pytest.mark.parametrize(("tasks", "play"), STAYS.values(), ids=STAYS)
def test_another_connection_still_ends_in_the_build_instance(
    bake: Bake, tasks: str, play: str
) -> None:
    bake.checkout.playbook(tasks.replace("MARK", json.dumps(bake.checkout.leave_mark)), play=play)
    done = bake.run()
    assert (done.returncode, bake.marks) == (0, ["build"]), done.stdout


@pytest.mark.parametrize("hosts", ["localhost", "all", "bake:localhost", "'{{ x | d(0) }}'"])
def test_a_play_for_others_is_refused_before_the_first_task_of_all(bake: Bake, hosts: str) -> None:
    bake.checkout.playbook(
        f"- shell: {json.dumps(bake.checkout.leave_mark)}",
        more=f"- {{hosts: {hosts}, tasks: [{{debug: {{}}}}]}}\n",
    )
    done = bake.run()
    assert (done.returncode, bake.marks) == (2, [])
    assert "and not 'bake'" in done.stderr
