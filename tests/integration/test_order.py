"""The order of a fleet as a real program gives it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import KEY, instances

from ovenbird.fleet.order import ranked
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import OrderHook
from ovenbird.values.instance import Instance

FLEET = tuple(replace(i, slot=n) for n, i in enumerate(instances(3)))


def a_program(folder: Path, text: str) -> str:
    path = folder / "who-leads"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return "./who-leads"


def asked(folder: Path, text: str, *, timeout: float = 10.0) -> tuple[Instance, ...]:
    hook = OrderHook(argv=(a_program(folder, text),), timeout=timeout)
    return ranked(hook, FLEET, fleet=KEY, project=folder)


def test_it_reads_the_fleet_on_stdin_and_its_lines_are_the_ranks(tmp_path: Path) -> None:
    text = """[ "$OVENBIRD_ENV/$OVENBIRD_FLEET" = dev/web ] || exit 9
tr ',' '\\n' | sed -n 's/.*"token": "\\([^"]*\\)".*/\\1/p' | tac"""

    found = asked(tmp_path, text)

    assert [(i.slot, i.rank) for i in found] == [(0, 2), (1, 1), (2, 0)]


def test_one_that_fails_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(Blocked, match="exit code 7") as told:
        asked(tmp_path, "echo nobody leads >&2; exit 7")

    assert told.value.exit_code == 3
    assert told.value.evidence == "nobody leads"


def test_one_that_cannot_be_started_ends_nothing_either(tmp_path: Path) -> None:
    hook = OrderHook(argv=("./nowhere",))

    with pytest.raises(Blocked, match="exit code 127") as told:
        ranked(hook, FLEET, fleet=KEY, project=tmp_path)

    assert "nowhere" in told.value.evidence


def test_one_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    begun = time.monotonic()

    with pytest.raises(Blocked, match=r"has not ended for 0\.3 s"):
        asked(tmp_path, "sleep 30", timeout=0.3)

    assert time.monotonic() - begun < 10
