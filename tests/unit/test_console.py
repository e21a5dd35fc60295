"""What the operator sees, where it goes, and what never reaches a pipe."""

from __future__ import annotations

import io
import json

import pytest

from ovenbird.console import Console
from ovenbird.values.errors import Blocked, CommandFailed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Written:
    """A console, and what it has written."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._err = Terminal() if terminal else io.StringIO()
        self._out = io.StringIO()
        self.console = Console(err=self._err, out=self._out)

    @property
    def err(self) -> str:
        return self._err.getvalue()

    @property
    def out(self) -> str:
        return self._out.getvalue()


def test_steps_are_nested_as_they_are_taken() -> None:
    seen = Written()
    with seen.console.inside("Baking web from base/7"):
        seen.console.step("Sealing")
        seen.console.note("one\ntwo")
    seen.console.step("Registered web/42")

    assert seen.err.splitlines() == [
        "‣ Baking web from base/7",
        "  ‣ Sealing",
        "  one",
        "  two",
        "‣ Registered web/42",
    ]
    assert seen.out == ""


def test_a_step_that_fails_does_not_leave_what_follows_indented() -> None:
    seen = Written()

    def fails() -> None:
        with seen.console.inside("Baking"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    seen.console.step("Cleaning up")

    assert seen.err.splitlines()[-1] == "‣ Cleaning up"


def test_results_go_to_stdout_and_nothing_else_does() -> None:
    seen = Written()
    seen.console.step("Looking")
    seen.console.result("web/42")

    assert (seen.out, seen.err) == ("web/42\n", "‣ Looking\n")


def test_a_document_is_one_json_document_that_a_person_can_read() -> None:
    seen = Written()
    seen.console.document({"greeting": "grüß Gott", "n": [1]})

    assert json.loads(seen.out) == {"greeting": "grüß Gott", "n": [1]}
    assert "grüß" in seen.out


def test_a_table_keeps_its_cells_whole_and_without_colour() -> None:
    seen = Written()
    cell = "a reason with [brackets] that is rather long, " * 3
    seen.console.table(["image", "because"], [["web/42", cell.strip()]])

    assert cell.strip() in seen.out
    assert "\x1b" not in seen.out


def test_a_failure_says_what_was_seen_and_what_to_do() -> None:
    seen = Written()
    seen.console.failure(
        Blocked("web/42 is revoked: CVE-2026-1.", remedy="Bake\nanother.", evidence="a\nb")
    )

    assert seen.err.splitlines() == [
        "",
        "✗ web/42 is revoked: CVE-2026-1.",
        "  │ a",
        "  │ b",
        "  Bake",
        "  another.",
    ]


def test_a_failed_command_can_be_pasted_from_what_is_shown() -> None:
    seen = Written()
    failed = CommandFailed(doing="Sealing", command="podman rm x", code=125, output="no such x")
    seen.console.failure(failed)

    assert "Sealing failed with exit code 125." in seen.err
    assert "Run it by hand to see more: podman rm x" in seen.err


def test_there_is_colour_and_a_live_line_on_a_terminal_alone() -> None:
    pipe, terminal = Written(), Written(terminal=True)
    for seen in (pipe, terminal):
        seen.console.progress("41 ok, 17 changed")
        seen.console.failure(Blocked("No.", remedy="Wait."))

    assert "\x1b" not in pipe.err
    assert "41 ok" not in pipe.err
    assert "\x1b[31m✗" in terminal.err
    assert "41 ok" in terminal.err


def test_a_live_line_is_gone_before_anything_else_is_written() -> None:
    seen = Written(terminal=True)
    seen.console.progress("41 ok")
    seen.console.progress("42 ok")
    seen.console.result("web/42")

    assert seen.err.endswith("\r\x1b[2K")


@pytest.mark.parametrize(
    ("said", "yes"),
    [("y\n", True), ("yes\n", True), (" Y \n", True), ("n\n", False), ("\n", False), ("", False)],
)
def test_only_a_yes_is_a_yes(said: str, yes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    seen = Written()

    assert seen.console.ask("Do it?") is yes
    assert seen.err == "Do it? [y/N] "


def test_nobody_is_asked_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert not Written().console.interactive
    assert not Written(terminal=True).console.interactive
