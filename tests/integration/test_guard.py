"""Ansible's one door, tried with the real programs: outside a bake nothing runs.

Every try would leave a mark; there must be none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.integration.ansible_tries import Checkout, a_ledger, started

NOT_A_BAKE = "this is not a bake"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


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
    "an empty configuration": (PROBE, "", {"ANSIBLE_CONFIG": "ROOT/empty.cfg"}),
    "another folder of the checkout": (PROBE, "roles/web", {}),
    "another folder of the checkout, by a relative path": (
        (*PROBE[:3], "../../playbooks/web.yml"), "roles/web", {},
    ),
    "a folder elsewhere": (PROBE, "/", {}),
    "callbacks of somebody's own": (PROBE, "", {"ANSIBLE_STDOUT_CALLBACK": "minimal"}),
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
