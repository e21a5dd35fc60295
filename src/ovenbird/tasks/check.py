"""What ``status --check`` asks for, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ovenbird.console import Console
from ovenbird.report.rows import Asked
from ovenbird.tasks.span import span
from ovenbird.values.errors import ConfigurationError, Found, Inconclusive


def asked_for(*, check: bool, max_age: str, max_behind: str) -> Asked | None:
    """Read the flags; None where nothing is to be checked."""
    if not check:
        if max_age or max_behind:
            raise ConfigurationError.of(
                "--max-age and --max-behind say what a check allows, and none was asked for.",
                remedy="Add --check.",
            )
        return None
    if max_behind and not re.fullmatch(r"[0-9]{1,6}", max_behind):
        raise ConfigurationError.of(
            f"{max_behind!r} is no number of images.", remedy="Write --max-behind 2, for example."
        )
    return Asked(
        max_age=span(max_age, flag="--max-age") if max_age else None,
        max_behind=int(max_behind) if max_behind else None,
    )


def tell_faults(console: Console, faults: Sequence[ConfigurationError]) -> None:
    """Tell each file that could not be read, and end with exit 2 where there is one."""
    if faults:
        *others, last = faults
        for error in others:
            console.failure(error)
        raise last


def demand_nothing_found(found: Sequence[str] | None, *, unseen: Sequence[str]) -> None:
    """End a check: exit 6 for what was found, 4 where it could not see everything."""
    if found:
        raise Found(
            f"{len(found)} {'thing is' if len(found) == 1 else 'things are'} not as asked for.",
            remedy="Each is told above, with what it is about. Nothing was touched.",
        )
    if found is not None and unseen:
        raise Inconclusive(
            f"{len(unseen)} fleet{'' if len(unseen) == 1 else 's'} could not be looked at: "
            f"{', '.join(unseen)}.",
            remedy="What was seen is as asked for. Make their engine answer, then check again.",
        )


def nothing_to_show(*, env: str) -> str:
    """Say why there is no table."""
    if env:
        return f"inventories/{env}/fleets.yml names no fleet, and nothing runs in {env}."
    return "There is no environment and no instance yet: write inventories/dev/fleets.yml."
