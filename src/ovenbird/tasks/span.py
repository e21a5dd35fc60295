"""A span of time as an operator writes it behind a flag: ``30d``, ``24h``, ``90min``, ``45s``."""

from __future__ import annotations

import re
from datetime import timedelta

from ovenbird.values.errors import ConfigurationError

UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MOST = timedelta(days=3650)


def span(text: str, *, flag: str) -> timedelta:
    """Read it, up to ten years; raise `ConfigurationError` that names the flag for anything else.

    Worked: ``7d`` is 604800 seconds.
    """
    read = re.fullmatch(r"([1-9][0-9]{0,9}) ?(s|min|m|h|d|w)", text.strip())
    length = int(read[1]) * UNITS[read[2]] if read else 0
    if not 0 < length <= MOST.total_seconds():
        raise ConfigurationError.of(
            f"{flag} says {text!r}, which is no span of time.",
            remedy=f"Write a number and a unit of s, min, h, d or w: {flag} 7d",
        )
    return timedelta(seconds=length)
