"""The page "What a rollout does" says what the code does, and links to tests that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from tests.unit.test_planted_faults import FAULTS

from ovenbird.values.limits import Bounds, Limits
from ovenbird.values.procedure import Checkpoint, Procedure, Strategy

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "explanation" / "what-a-rollout-does.md"
PAGE = FILE.read_text()

HELD = re.compile(r"\[`(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)`\]\((?P<link>[^)]+)\)")
STEPS = (1, "10%", "50%", "100%")


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


def rows(head: str) -> dict[int, list[str]]:
    """The cells of the table that begins with ``head``, by the size in its first column."""
    table = PAGE.partition(f"| size | {head}")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {int(size): values for size, *values in cells}


def test_every_test_that_the_page_links_to_exists() -> None:
    held = list(HELD.finditer(PAGE))
    lost = {
        match[0]
        for match in held
        if (FILE.parent / match["link"]).resolve() != ROOT / match["file"]
        or match["test"] not in names_in(ROOT / match["file"])
    }

    assert len(held) > 100
    assert lost == set()


def test_the_page_names_no_test_without_a_link() -> None:
    assert set(re.findall(r"`[^`]*\btest_\w+`", HELD.sub("", PAGE))) == set()


def test_every_rule_on_the_page_is_held_by_a_test() -> None:
    assert PAGE.count("*Held by*") > 30
    assert "*Held by*\n" not in PAGE


def test_every_transcript_on_the_page_is_a_golden_one() -> None:
    golden = {
        path.read_text().partition("\n\n")[2] for path in (ROOT / "tests" / "golden").glob("*.txt")
    }
    shown = re.findall(r"^```\n(dev/web: .*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)

    assert len(shown) > 5
    assert set(shown) - golden == set()


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    def told(size: int) -> list[str]:
        limits = (
            Limits(),
            Limits(max_surge=0, max_unavailable=1),
            Limits(max_surge="25%", max_unavailable="25%"),
        )
        green = Procedure(strategy=Strategy.BLUE_GREEN).bounds(Limits(), size)
        return [in_words(each) for each in (*(each.of(size) for each in limits), green)]

    assert rows("surge 1") == {size: told(size) for size in (1, 2, 3, 10)}


def test_the_steps_on_the_page_are_those_of_the_code() -> None:
    stepped = Procedure(
        strategy=Strategy.STEPPED, checkpoints=tuple(Checkpoint(share=step) for step in STEPS)
    )

    assert rows("the steps") == {
        size: [in_a_row(stepped.counts(size))] for size in (1, 2, 3, 4, 10)
    }


def test_the_page_counts_the_planted_faults() -> None:
    assert f"plants {len(FAULTS)} faults" in PAGE


def in_words(bounds: Bounds) -> str:
    return f"{bounds.floor} and {bounds.ceiling}"


def in_a_row(counts: Sequence[int]) -> str:
    return ", ".join(str(count) for count in counts)
