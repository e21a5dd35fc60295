"""fleet.drift: what was changed by hand, found from outside and replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import ENV
from ovenbird.tasks.rollout import answered
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from ovenbird.care.drift import Survey
    from ovenbird.rollout.setting import Setting
    from ovenbird.values.errors import OvenbirdError
    from ovenbird.values.family import Family

KEPT = "24h"
"""How long one in quarantine is kept for a look where nothing else is said."""


@verb(
    help={
        "fleet": "Only this fleet; all of the environment where none is named.",
        "env": "The environment.",
        "check": "End with exit 6 where anything is not as its image, 4 where it is not known.",
        "repair": "Replace what is drifted or revoked with the settled image.",
        "quarantine": "With --repair: keep the old ones out of service for a look.",
        "for": "How long they are kept: 45min, 24h, 3d.",
        "yes": "Repair without asking.",
        "plan": "Look, and with --repair only print the plan.",
        "because": "Why; kept in the history.",
        "json": "Print one JSON document on stdout.",
    }
)
def drift(
    _: Any,
    fleet: str = "",
    env: str = ENV,
    check: bool = False,
    repair: bool = False,
    quarantine: bool = False,
    for_: str = KEPT,
    yes: bool = False,
    plan: bool = False,
    because: str = "",
    json: bool = False,
) -> None:
    """Compare every instance's files with its image, from outside; nothing is touched by it."""
    from ovenbird.tasks.drift_shown import drift_document, show_drift

    console = Console()
    kept = _kept(repair=repair, quarantine=quarantine, lasting=for_)
    settings, families = _settings_and_families(env, fleet, console)
    if not settings:
        console.step(f"{env} has no fleets: there is nothing to compare")
    surveys, worst = _surveyed(settings, families, console)
    if json:
        console.document({"fleets": [drift_document(s, _family(s, families)) for s in surveys]})
    else:
        for found in surveys:
            show_drift(console, found, _family(found, families))
    if repair:
        for found in surveys:
            worst = _repair(found, console, kept, worst, yes=yes, plan=plan, because=because)
        if check and not plan:
            surveys, again = _surveyed([s.setting for s in surveys], families, console)
            worst = worst or again
    finding = _finding(surveys) if check else None
    if worst is None and finding is not None:
        raise finding
    if worst is not None:
        from invoke import Exit

        raise Exit(code=max(worst.exit_code, finding.exit_code if finding else 0))


def _kept(*, repair: bool, quarantine: bool, lasting: str) -> timedelta | None:
    from ovenbird.tasks.span import span
    from ovenbird.values.errors import ConfigurationError

    if quarantine and not repair:
        raise ConfigurationError.of(
            "--quarantine says how a repair ends the old ones, and none was asked for.",
            remedy="Nothing was done. Add --repair, or hold one instance by its name: "
            "invoke fleet.quarantine INSTANCE --because …",
        )
    return span(lasting, flag="--for") if quarantine else None


def _settings_and_families(
    env: str, fleet: str, console: Console
) -> tuple[list[Setting], dict[str, Family]]:
    from ovenbird import assembly
    from ovenbird.config import families
    from ovenbird.tasks.fleet import setting_of, settings_of

    settings = [setting_of(env, fleet, console)] if fleet else settings_of(env, console)
    project = assembly.project_folder(Path.cwd())
    return settings, families.survey(project, with_files=False).families


def _family(found: Survey, families: dict[str, Family]) -> Family | None:
    return families.get(found.setting.fleet.image.family)


def _surveyed(
    settings: Sequence[Setting], families: dict[str, Family], console: Console
) -> tuple[list[Survey], OvenbirdError | None]:
    """Look at one fleet after the other; one that cannot be looked at does not hold up the rest."""
    from ovenbird.care.drift import survey
    from ovenbird.values.errors import OvenbirdError

    found: list[Survey] = []
    worst: OvenbirdError | None = None
    for setting in settings:
        family = families.get(setting.fleet.image.family)
        try:
            found.append(survey(setting, writable=family.contract.writable if family else ()))
        except OvenbirdError as error:
            console.failure(error)
            worst = error if worst is None or error.exit_code > worst.exit_code else worst
    return found, worst


def _repair(
    found: Survey,
    console: Console,
    kept: timedelta | None,
    worst: OvenbirdError | None,
    *,
    yes: bool,
    plan: bool,
    because: str,
) -> OvenbirdError | None:
    """Print the plan of one fleet's repair, ask, and do it; return the worst error so far."""
    from ovenbird.care.acts import carry_out
    from ovenbird.care.give_up import give_up
    from ovenbird.values.errors import OvenbirdError

    key = found.setting.key
    if not found.given_up:
        console.step(f"{key}: nothing to repair")
        return worst
    try:
        wish = give_up(found, quarantine=kept, because=because)
        console.note(wish.text)
        if not plan and (yes or answered(console)):
            console.step(f"{key}: {carry_out(wish)}")
    except OvenbirdError as error:
        console.failure(error)
        return error if worst is None or error.exit_code > worst.exit_code else worst
    return worst


def _finding(surveys: Sequence[Survey]) -> OvenbirdError | None:
    """Say how a check ends: 6 for what is not as its image, 4 for what nobody could say."""
    from ovenbird.fleet.drift import Bucket
    from ovenbird.values.errors import Found, Inconclusive

    unknown = sum(s.count(Bucket.UNKNOWN) for s in surveys)
    clean = (Bucket.CURRENT, Bucket.UNKNOWN)
    differ = sum(s.count(bucket) for s in surveys for bucket in Bucket if bucket not in clean)
    paths = sum(len(s.undeclared) for s in surveys)
    if differ or paths:
        told = [f"{differ} instances are not as they should be"] if differ else []
        told += [f"{paths} paths are undeclared"] if paths else []
        return Found(
            f"{' and '.join(told)}.",
            remedy="Each is told above. Replace what is drifted or revoked with --repair.",
        )
    if unknown:
        return Inconclusive(
            f"Of {unknown} instances nobody could say what changed in them.",
            remedy="What was seen is as its image. Make their engine answer, then check again.",
        )
    return None
