"""Golden transcripts: rewritten by ``pytest tests/golden --rewrite-golden``, read in review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Compare = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="write the transcripts in tests/golden anew instead of comparing with them",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Compare a text with the transcript of this name, or rewrite it."""
    rewrite = bool(request.config.getoption("--rewrite-golden"))

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / f"{name}.txt"
        if rewrite:
            path.write_text(text)
        assert path.exists(), f"{path.name} is missing: pytest tests/golden --rewrite-golden"
        assert text == path.read_text(), f"{path.name} differs; if you mean it: --rewrite-golden"

    return compare
