"""Spans of time behind flags."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ovenbird.tasks.span import span
from ovenbird.values.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("45s", timedelta(seconds=45)),
        ("90min", timedelta(minutes=90)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_number_and_a_unit_are_a_span(text: str, meant: timedelta) -> None:
    assert span(text, flag="--since") == meant


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0d", "1.5h", "1y", "9999999999d"])
def test_anything_else_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--since says") as caught:
        span(text, flag="--since")

    assert "--since 7d" in caught.value.remedy
