"""A lock that our programs keep when we are gone, with real programs and a real SIGKILL."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.project import until

from ovenbird import process
from ovenbird.values.errors import CommandFailed, ConfigurationError, EngineUnreachable

CALLER = """
import fcntl, os, sys
from ovenbird import process
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
with process.lending(lock):
    process.run(["sh", "-c", sys.argv[2]], doing="Changing something")
"""
LEFT = r"has not ended for 0\.2 s, and was left running"
LEAVES_A_DAEMON = "setsid sleep 60 & echo $! > {folder}/daemon; sleep 1; echo done > {folder}/done"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    file = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield file
    os.close(file)


def is_free(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_killed_caller_leaves_its_lock_to_the_program_and_not_to_what_that_leaves(
    tmp_path: Path,
) -> None:
    order = LEAVES_A_DAEMON.format(folder=tmp_path)
    with subprocess.Popen([sys.executable, "-c", CALLER, tmp_path / "lock", order]) as caller:
        until((tmp_path / "daemon").exists)
        caller.kill()
    held = not is_free(tmp_path / "lock")
    until((tmp_path / "done").exists)
    until(lambda: is_free(tmp_path / "lock"), seconds=0.5)
    daemon = int((tmp_path / "daemon").read_text())
    try:
        assert held
        os.kill(daemon, 0)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_of_two_locks_the_wider_one_is_left_to_the_program(tmp_path: Path) -> None:
    both = CALLER.replace(
        "with process.lending(lock):",
        "inner = os.open(sys.argv[1] + '-inner', os.O_RDWR | os.O_CREAT)\n"
        "with process.lending(lock), process.lending(inner):",
    )
    order = f"echo > {tmp_path}/begun; sleep 1; echo > {tmp_path}/done"
    with subprocess.Popen([sys.executable, "-c", both, tmp_path / "lock", order]) as caller:
        until((tmp_path / "begun").exists)
        caller.kill()
    held = not is_free(tmp_path / "lock")
    until((tmp_path / "done").exists)

    assert held


def test_the_output_of_a_program_whose_caller_was_killed_breaks_nothing(tmp_path: Path) -> None:
    order = f"echo > {tmp_path}/begun; sleep 0.5; echo one && echo two && echo > {tmp_path}/done"
    with subprocess.Popen([sys.executable, "-c", CALLER, tmp_path / "lock", order]) as caller:
        until((tmp_path / "begun").exists)
        caller.kill()
    until((tmp_path / "done").exists)


def test_all_is_as_without_a_lock(lock: int) -> None:
    with process.lending(lock):
        asked = process.run(
            ["sh", "-c", "cat; echo $GREETING; pwd; echo oops >&2; exit 7"],
            doing="Asking",
            stdin=b"given\n" * 50_000,
            env={"GREETING": "hello $HOME"},
            cwd=Path("/"),
            check=False,
        )
        nothing = process.run(["cat"], doing="Reading")

    assert (asked.code, asked.stderr) == (7, "oops\n")
    assert asked.stdout == "given\n" * 50_000 + "hello $HOME\n/\n"
    assert nothing == process.Finished(code=0, stdout="", stderr="")


def test_stdin_is_a_pipe_and_need_not_be_read(lock: int) -> None:
    with process.lending(lock):
        kind = process.run(["sh", "-c", "stat -Lc %F /dev/stdin"], doing="Looking", stdin=b"x")
        process.run(["true"], doing="Ignoring", stdin=b"x" * 10_000_000)

    assert kind.stdout == "fifo\n"


def test_a_program_inherits_neither_the_lock_nor_the_pipe_behind_its_stdin(lock: int) -> None:
    with process.lending(lock):
        look = "cd /proc/$$/fd; for file in *; do readlink $file; done; true"
        said = process.run(["sh", "-c", look], doing="Looking", stdin=b"x").stdout

    assert "lock" not in said
    assert said.count("pipe:") == 1


def test_a_signal_and_a_missing_program_are_told_as_ever(lock: int) -> None:
    with process.lending(lock):
        killed = process.run(["sh", "-c", "kill -9 $$"], doing="Dying", check=False)
        with pytest.raises(ConfigurationError, match="needs no-such-program"):
            process.run(["no-such-program"], doing="Trying")
        with pytest.raises(CommandFailed) as failed:
            process.run(["sh", "-c", "echo no >&2; exit 3"], doing="Trying")

    assert (killed.code, killed.stderr) == (-signal.SIGKILL, "")
    assert (failed.value.code, failed.value.output) == (3, "no\n")
    assert failed.value.remedy == "Run it by hand to see more: sh -c 'echo no >&2; exit 3'"


def test_a_program_in_a_session_of_its_own_hears_no_interrupt_and_is_waited_for(
    tmp_path: Path, lock: int
) -> None:
    def interrupt() -> None:
        until((tmp_path / "begun").exists)
        signal.raise_signal(signal.SIGINT)

    order = f"echo > {tmp_path}/begun; sleep 0.5; echo > {tmp_path}/done"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = threading.Thread(target=interrupt)
    try:
        begun.start()
        with pytest.raises(KeyboardInterrupt), process.lending(lock):
            process.run(["sh", "-c", order], doing="Changing", leave_after=5)
    finally:
        signal.signal(signal.SIGINT, before)
        begun.join()

    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("lends", [True, False])
def test_a_change_that_takes_too_long_is_left_running_and_keeps_the_lock(
    tmp_path: Path, lends: bool
) -> None:
    path = tmp_path / "lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    order = f"sleep 1; echo said; cat > {tmp_path}/done"

    with (
        process.lending(file) if lends else nullcontext(),
        pytest.raises(EngineUnreachable, match=LEFT) as late,
    ):
        process.run(["sh", "-c", order], doing="Starting", leave_after=0.2, stdin=b"all")
    os.close(file)

    assert late.value.exit_code == 3
    assert is_free(path) is not lends
    until((tmp_path / "done").exists)
    until(lambda: is_free(path))
    assert (tmp_path / "done").read_text() == "all"


def test_a_question_is_lent_nothing_and_is_killed(tmp_path: Path, lock: int) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with process.lending(lock), pytest.raises(EngineUnreachable, match="has not answered"):
        process.run(["sleep", "30"], doing="Asking", timeout=0.2)


def test_what_lending_costs(lock: int, record_property: Callable[[str, object], None]) -> None:
    def seconds(calls: int = 50) -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            process.run(["true"], doing="Counting")
        return (time.perf_counter() - begun) / calls

    plain = seconds()
    with process.lending(lock):
        lent = seconds()

    record_property("milliseconds a call", round((lent - plain) * 1000, 2))
    print(f"lending costs {(lent - plain) * 1000:.1f} ms a call, of {lent * 1000:.1f} ms")
