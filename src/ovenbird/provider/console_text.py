"""A console as plain text."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")


def last_lines(text: str, count: int) -> str:
    """Return the last ``count`` lines that say something; what would move a terminal's cursor or
    colour it is taken out."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = [line for line in plain.splitlines() if line.strip()]
    return "\n".join(kept[-count:])
