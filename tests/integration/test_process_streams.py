"""Programs whose output is followed line by line, with real programs."""

from __future__ import annotations

import sys
import time

import pytest

from ovenbird import process

CLEANS_UP = """
import os, signal, sys, time
def told(*_):
    print("cleaned up", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, told)
os.write(1, b"ready" + bytes([10]) + b"and more" + bytes([10]))
time.sleep(30)
"""
LEAVES_SOMETHING_RUNNING = """
import subprocess
subprocess.Popen(["sleep", "5"])
print("it stays")
"""


def followed(code: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    ended = process.stream(
        [sys.executable, "-c", code], doing="Building", line=lines.append, scrub=["hunter2"]
    )
    return ended, lines


def test_each_line_is_handed_over_without_its_end_and_without_secrets() -> None:
    code = r"import os; os.write(1, b'one\r\nwith hunter2\ncaf\xc3\xa9 \xff\nno end'); exit(3)"

    assert followed(code) == (3, ["one", "with •••", "café \ufffd", "no end"])


def test_lines_come_while_the_program_runs() -> None:
    times: list[float] = []
    process.stream(
        ["sh", "-c", "echo one; sleep 0.5; echo two"],
        doing="Building",
        line=lambda _: times.append(time.monotonic()),
    )

    assert times[1] - times[0] > 0.3


def test_much_output_is_handed_over_whole() -> None:
    _, lines = followed("for n in range(50000): print('line', n)")

    assert lines == [f"line {n}" for n in range(50000)]


def test_a_program_is_over_when_it_ends_though_something_that_it_left_holds_its_output() -> None:
    begun = time.monotonic()

    assert followed(LEAVES_SOMETHING_RUNNING) == (0, ["it stays"])
    assert time.monotonic() - begun < 3


def test_an_interrupted_program_is_told_and_its_last_words_are_kept() -> None:
    lines: list[str] = []

    def line(text: str) -> None:
        lines.append(text)
        if text == "ready":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.stream([sys.executable, "-c", CLEANS_UP], doing="Building", line=line)

    assert lines == ["ready", "and more", "cleaned up"]
