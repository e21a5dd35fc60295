"""`./bootstrap` on machines that lack something.

The absence is real to the script: its PATH is a folder of links to the few programs that every
Debian has. apt-get is played, so that no test installs a package; the .venv is made in earnest,
from a lock with two entries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
EVERY_DEBIAN = frozenset(
    {"cat", "chmod", "date", "dirname", "env", "flock", "grep", "head"}
    | {"mkdir", "rm", "sed", "sh", "sha256sum", "sleep", "tail"}
)
NEEDED = ["packer", "podman", "haproxy", "mmdebstrap", "iptables", "gpgv", "runc"]
LOCK = f"python{sys.version_info[0]}.{sys.version_info[1]}.txt"
TASKS = (
    "from invoke import task\n\n\n@task\ndef hello(c, code=0):\n    print('hi')\n    exit(code)\n"
)
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "nest"
version = "1"
[tool.setuptools]
py-modules = []
"""

pytestmark = pytest.mark.skipif(
    Path("/run/systemd/system").is_dir() and os.getuid() != 0,
    reason="where systemd runs only root may write the policy that keeps services from starting",
)


@dataclass
class Checkout:
    """A small checkout and the machine around it."""

    folder: Path
    programs: Path
    calls: Path

    def play(self, name: str, script: str) -> None:
        """Put a program on the machine's PATH that does what ``script`` says."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\necho {name} "$@" >>{self.calls}\n{script}\n')
        path.chmod(0o755)

    def lack(self, *names: str) -> None:
        for name in names:
            (self.programs / name).unlink()

    def start(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        env = {**os.environ, "PATH": str(self.programs)}
        return subprocess.Popen(
            [self.folder / "bootstrap", *words],
            env=env,
            cwd=cwd or self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, cwd: Path | None = None) -> tuple[int, str, str]:
        started = self.start(*words, cwd=cwd)
        out, err = started.communicate(timeout=300)
        return started.returncode, out, err

    def called(self) -> str:
        return self.calls.read_text() if self.calls.exists() else ""


def a_checkout(around: Path) -> Checkout:
    """Lay out a checkout on a machine of root's with every package and a Python with a lock."""
    folder, programs = around / "checkout", around / "programs"
    (folder / "locks").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(PROJECT / "bootstrap", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "tasks.py").write_text(TASKS)
    entries = re.findall(r"(?m)^\S+==.*\n(?: .*\n)*", (PROJECT / "locks" / LOCK).read_text())
    wanted = [e for e in entries if e.startswith(("invoke==", "setuptools=="))]
    (folder / "locks" / LOCK).write_text("".join(wanted))
    checkout = Checkout(folder=folder, programs=programs, calls=around / "calls")
    for name in EVERY_DEBIAN:
        (programs / name).symlink_to(shutil.which(name) or name)
    for name in NEEDED:
        checkout.play(name, "exit 0")
    checkout.play("id", "echo 0")
    checkout.play("apt-get", "exit 0")
    checkout.play("apt-cache", "exit 0")
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (programs / "python3").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (programs / "python3").chmod(0o755)
    return checkout


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    return a_checkout(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose .venv was made by a first run."""
    checkout = a_checkout(tmp_path_factory.mktemp("ready"))
    code, out, err = checkout.run("hello")
    assert (code, out) == (0, "hi\n"), err
    assert re.search(r"‣ Ready: pip \d+ s", err), err
    return checkout


def test_it_names_what_is_missing_before_it_installs_it(fresh: Checkout) -> None:
    fresh.lack("packer", "mmdebstrap")
    fresh.play("apt-get", 'case "$1" in install) echo "E: disk full"; exit 100;; esac')
    code, _, err = fresh.run("hello")
    assert code == 3
    assert err.startswith("‣ Missing packages: packer mmdebstrap\n"), err
    assert "│ E: disk full" in err
    lines = [line for line in fresh.called().splitlines() if line.startswith("apt-get")]
    assert lines[0] == "apt-get update"
    assert lines[1].endswith("packer mmdebstrap")
    assert {"--no-install-recommends", "--no-remove", "-y"} <= set(lines[1].split())


def test_what_only_the_tests_start_is_installed_for_them_alone(fresh: Checkout) -> None:
    fresh.play("apt-get", 'case "$1" in install) exit 100;; esac')
    code, _, err = fresh.run("test")
    assert code == 3
    named = err.splitlines()[0].split()
    assert "prometheus" in named
    assert ("postgresql" in named) != any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert "apt-get" in fresh.called()


def test_apt_is_not_touched_where_nothing_is_missing(ready: Checkout) -> None:
    assert ready.run("hello")[0] == 0
    assert "apt" not in ready.called()


def test_a_user_who_is_not_root_gets_the_one_command_for_an_administrator(fresh: Checkout) -> None:
    fresh.lack("packer")
    for name, script in (("id", "echo 1000"), ("newuidmap", ""), ("pasta", "")):
        fresh.play(name, script)
    code, _, err = fresh.run("hello")
    assert code == 2
    assert "sudo sh -c 'apt-get update && apt-get install" in err
    assert err.rstrip().endswith("packer'")
    assert "apt-get" not in fresh.called()


def test_without_packer_in_the_distribution_it_says_which_source_to_add(fresh: Checkout) -> None:
    fresh.lack("packer")
    fresh.play("apt-cache", 'case "$*" in *packer) exit 100;; esac')
    code, _, err = fresh.run("hello")
    assert code == 2
    assert "https://apt.releases.hashicorp.com" in err
    assert "apt-get install" not in fresh.called()


def test_another_distribution_is_told_what_to_install(fresh: Checkout) -> None:
    fresh.lack("packer", "podman", "apt-get")
    code, _, err = fresh.run("hello")
    assert (code, "neither Debian nor Ubuntu" in err) == (2, True)
    assert err.rstrip().endswith("packer podman")


def test_without_a_network_it_shows_what_apt_said_and_one_sentence(fresh: Checkout) -> None:
    fresh.lack("packer")
    fresh.play("apt-get", 'echo "W: Failed to fetch http://deb.invalid  Could not resolve"')
    fresh.play("apt-cache", "exit 100")
    code, _, err = fresh.run("hello")
    assert code == 3
    assert "│ W: Failed to fetch http://deb.invalid" in err
    assert "is there a network" in err
    assert "hashicorp" not in err


def test_a_python_that_is_too_old_is_named_before_anything_is_installed(fresh: Checkout) -> None:
    fresh.lack("packer")
    fresh.play("python3", "echo 3.9")
    code, _, err = fresh.run("hello")
    assert (code, "found: 3.9" in err) == (2, True)
    assert "apt-get" not in fresh.called()


def test_a_python_without_venv_is_completed_by_its_package(fresh: Checkout) -> None:
    version = LOCK.removeprefix("python").removesuffix(".txt")
    fresh.play("python3", f'case "$*" in *ensurepip*) exit 1;; *) echo {version};; esac')
    _, _, err = fresh.run("hello")
    assert err.startswith(f"‣ Missing packages: python{version}-venv\n"), err


def test_the_second_run_adds_less_than_two_seconds_and_says_nothing(ready: Checkout) -> None:
    began = time.monotonic()
    code, out, err = ready.run("hello")
    assert (code, out, err) == (0, "hi\n", "")
    assert time.monotonic() - began < 2


def test_arguments_and_the_exit_code_pass_through_from_any_folder(
    ready: Checkout, tmp_path: Path
) -> None:
    assert ready.run("hello", "--code", "6", cwd=tmp_path)[0] == 6


def test_a_venv_that_was_killed_half_way_is_made_anew(ready: Checkout) -> None:
    (ready.folder / ".venv/unfinished").touch()
    shutil.rmtree(next((ready.folder / ".venv/lib").glob("python*/site-packages/invoke")))
    code, out, err = ready.run("hello")
    assert (code, out) == (0, "hi\n"), err
    assert "‣ Making .venv" in err
    assert not (ready.folder / ".venv/unfinished").exists()


def test_a_changed_lock_is_installed_into_the_same_venv(ready: Checkout) -> None:
    with (ready.folder / "locks" / LOCK).open("a") as lock:
        lock.write("# one more line\n")
    code, _, err = ready.run("hello")
    assert code == 0, err
    assert "Installing locks/" in err
    assert "Making .venv" not in err


def test_two_at_once_do_not_break_each_other(fresh: Checkout) -> None:
    both = [fresh.start("hello"), fresh.start("hello")]
    ends = [(each.communicate(timeout=300), each.returncode) for each in both]
    assert [(code, out) for (out, _), code in ends] == [(0, "hi\n")] * 2, ends
    assert sum("Making .venv" in err for (_, err), _ in ends) == 1


def test_a_checkout_that_was_moved_gets_a_venv_of_its_own(ready: Checkout, tmp_path: Path) -> None:
    copied = tmp_path / "moved"
    shutil.copytree(ready.folder, copied, symlinks=True)
    moved = Checkout(folder=copied, programs=ready.programs, calls=ready.calls)
    code, out, err = moved.run("hello")
    assert (code, out) == (0, "hi\n"), err
    assert str(copied) in (copied / ".venv/bin/invoke").read_text()


def test_the_build_machine_runs_the_second_command_of_the_readme() -> None:
    last = (PROJECT / ".ci/run").read_text().splitlines()[-1]
    assert last.endswith("exec ./bootstrap test")
    assert "./bootstrap test" in (PROJECT / "README.md").read_text()
