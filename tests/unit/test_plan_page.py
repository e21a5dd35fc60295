"""The page "What a rollout does" says what the planner does, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.test_planted_faults import FAULTS

TESTS = Path(__file__).parent
PAGE = (TESTS.parents[1] / "docs" / "explanation" / "what-a-rollout-does.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    written = {
        name
        for path in TESTS.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), flags=re.MULTILINE)
    }

    assert named
    assert not named - written


def test_the_transcript_on_the_page_is_the_golden_one() -> None:
    golden = (TESTS.parent / "golden" / "03-surge-1.txt").read_text()

    assert golden.partition("\n\n")[2] in PAGE


def test_the_page_counts_the_planted_faults() -> None:
    assert f"plants {len(FAULTS)} faults" in PAGE
