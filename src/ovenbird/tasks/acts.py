"""fleet.scale, fleet.rebuild, fleet.quarantine, fleet.remove: what is done between rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import ENV
from ovenbird.tasks.rollout import answered
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from datetime import timedelta

    from ovenbird.care.acts import Wish
    from ovenbird.rollout.setting import Setting

COMMON = {
    "because": "Why; kept in the history.",
    "yes": "Do it without asking.",
    "plan": "Only print the plan.",
}
INSTANCE = {"instance": "An instance, by its token or a part of it that no other has."}
FILE = "reset"
"""What is written for a size to take the recorded one back."""


@verb(
    positional=["fleet", "size"],
    help={
        "fleet": "A fleet of inventories/ENV/fleets.yml.",
        "size": "How many instances, whatever the file says; or reset, for the file's size again.",
        "env": "The environment.",
        **COMMON,
    },
)
def scale(
    _: Any,
    fleet: str,
    size: str,
    env: str = ENV,
    because: str = "",
    yes: bool = False,
    plan: bool = False,
) -> None:
    """Record another size than the file's, and bring the fleet to it with its settled image."""
    from ovenbird.care.acts import scale

    console, wanted = Console(), _size(size)
    setting = _setting_of(env, fleet, console, recorded=False, known=False)
    _carry_out(scale(setting, wanted, because=because), console, yes=yes, plan=plan)


@verb(positional=["instance"], help={**INSTANCE, **COMMON})
def rebuild(
    _: Any, instance: str, because: str = "", yes: bool = False, plan: bool = False
) -> None:
    """Replace one machine by a new one of the settled image; the new one serves first."""
    from ovenbird.care.acts import rebuild

    console = Console()
    setting, token = _instance(instance, console)
    _carry_out(rebuild(setting, token, because=because), console, yes=yes, plan=plan)


@verb(
    positional=["instance"],
    help={
        **INSTANCE,
        **COMMON,
        "because": "Why. Required.",
        "for": "How long it is kept for a look: 30m, 24h, 3d.",
    },
)
def quarantine(
    _: Any,
    instance: str,
    because: str = "",
    for_: str = "24h",
    yes: bool = False,
    plan: bool = False,
) -> None:
    """Take one machine out of service for good, and keep it running for a look."""
    from ovenbird.care.acts import quarantine
    from ovenbird.values.errors import ConfigurationError

    if not because:
        raise ConfigurationError.of(
            "A quarantine says no reason, and somebody will ask for it.",
            remedy="Nothing was done. Say why: --because …",
        )
    console, lasting = Console(), _time(for_)
    setting, token = _instance(instance, console)
    _carry_out(quarantine(setting, token, lasting, because=because), console, yes=yes, plan=plan)


@verb(
    positional=["fleet"],
    help={"fleet": "A fleet, also one that has left its file.", "env": "The environment."} | COMMON,
)
def remove(
    _: Any,
    fleet: str,
    env: str = ENV,
    because: str = "",
    yes: bool = False,
    plan: bool = False,
) -> None:
    """End a fleet for good: drain and end all of it, close its entrance. Its volumes stay."""
    from ovenbird.care.removal import remove

    console = Console()
    setting = _setting_of(env, fleet, console, recorded=False)
    _carry_out(remove(setting, because=because), console, yes=yes, plan=plan)


def _carry_out(wish: Wish, console: Console, *, yes: bool, plan: bool) -> None:
    """Print the plan, ask, and do it."""
    from ovenbird.care.acts import carry_out

    console.note(wish.text)
    if plan or (wish.needs_an_answer and not yes and not answered(console)):
        return
    console.step(carry_out(wish))


def _instance(text: str, console: Console) -> tuple[Setting, str]:
    from ovenbird.report.named import instance_named
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError

    named = instance_named(open_site().database, text)
    if named.job:
        raise ConfigurationError.of(
            f"{named.token} runs the job {named.job}, and is no member of its fleet.",
            remedy=f"Nothing was done. Read what it says: invoke fleet.logs {named.token}",
        )
    return _setting_of(named.env, named.fleet, console), named.token


def _setting_of(
    env: str, name: str, console: Console, *, recorded: bool = True, known: bool = True
) -> Setting:
    """Make everything ready for work on a fleet, with ``known`` also on one that left its file."""
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.state.site import open_site

    project, site = assembly.project_folder(Path.cwd()), open_site()
    fleet = (
        rolling.fleet_known(project, site, env, name)
        if known
        else rolling.fleet_named(project, env, name)
    )
    return rolling.setting(project, site, console, fleet, recorded=recorded)


def _size(text: str) -> int | None:
    import re

    from ovenbird.values.errors import ConfigurationError

    if text == FILE:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MOST:
        raise ConfigurationError.of(
            f"{text!r} is no size.",
            remedy=f"Write a number from 0 to {MOST}, or {FILE} for the size of the file.",
        )
    return int(text)


MOST = 10000
"""As in fleets.yml."""


def _time(text: str) -> timedelta:
    import re
    from datetime import timedelta

    from ovenbird.values.errors import ConfigurationError

    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    found = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", text)
    if found is None:
        raise ConfigurationError.of(
            f"{text!r} is no time.", remedy="Write 30m, 24h or 3d, for example: --for 24h"
        )
    return timedelta(**{units[found[2]]: int(found[1])})
