"""How a fault says what was meant and what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def allowed(options: Collection[str], *, what: str = "Allowed here") -> str:
    """``Allowed here: memory, podman.``; says so where nothing is allowed at all."""
    return f"{what}: {', '.join(sorted(options)) or 'nothing'}."


def did_you_mean(word: str, options: Collection[str]) -> str:
    """`` Did you mean podman?`` with its leading space, or nothing where no option is close."""
    close = get_close_matches(word, sorted(options), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


def kind_of(value: object) -> str:
    """What a value is, in words of YAML, without the value itself."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return str(getattr(value, "what", "something else"))
