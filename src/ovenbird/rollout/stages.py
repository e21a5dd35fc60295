"""Roll a whole environment: its fleets by stage, each stage after the one before has soaked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from ovenbird.fleet.gate import seconds
from ovenbird.rollout.book import Standing
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError, GoalFailed
from ovenbird.values.fleet import Kind
from ovenbird.values.instance import Goal


def in_stages(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Group fleets by their ``stage:``, the lowest first, in the order of the file. Fleets of
    jobs have none: nothing of them is there between two runs."""
    rolled = [setting for setting in settings if setting.fleet.kind is Kind.SERVICE]
    stages = sorted({setting.fleet.stage for setting in rolled})
    return [[s for s in rolled if s.fleet.stage == stage] for stage in stages]


def require_a_service(setting: Setting) -> None:
    """Raise `ConfigurationError` for a fleet of jobs: it is run, and not rolled."""
    if setting.fleet.kind is Kind.JOB:
        raise ConfigurationError.of(
            f"{setting.key} is of kind job: nothing of it is there to be replaced.",
            remedy=f"Run its job: invoke fleet.run {setting.fleet.name} --env {setting.key.env}",
            file=setting.fleet.file,
            line=setting.fleet.line,
        )


def roll_all(
    settings: Sequence[Setting], roll: Callable[[Setting], bool], *, soaks: bool = True
) -> bool:
    """Roll every fleet with ``roll``; what it raises stops everything that is left, and so does
    False, the word of somebody who was asked. ``soaks`` is False in an emergency.

    Raises `GoalFailed` where a fleet does not stay healthy while its stage soaks, or is rolled
    back meanwhile.
    """
    stages = in_stages(settings)
    for number, stage in enumerate(stages, start=1):
        for setting in stage:
            if not roll(setting):
                return False
        if soaks and number < len(stages):
            for setting in stage:
                soak(setting)
    return True


def soak(setting: Setting) -> None:
    """Watch a fleet until it has served its image for ``soak`` seconds, from stored times.

    A rollout that completed an hour ago has soaked for an hour, whoever watched.
    """
    lookout, wanted = Lookout(setting), timedelta(seconds=setting.fleet.procedure.soak)
    image = setting.book.standing().settled
    while (settled_at := (standing := setting.book.standing()).settled_at) is not None:
        _require_still_good(setting, image, standing)
        left = settled_at + wanted - setting.clock.now()
        if left <= timedelta(0):
            return
        serving = sum(instance.is_serving for instance in lookout.look_twice())
        if serving < setting.bounds.floor:
            raise GoalFailed(
                f"{setting.key} has {serving} serving of {setting.fleet.size} while it soaks; the "
                f"floor is {setting.bounds.floor}.",
                remedy="The stages after it were not begun. Look at it: invoke status",
            )
        setting.console.progress(f"{setting.key} soaks for {seconds(left)} more")
        setting.clock.sleep(setting.fleet.health.interval)


def _require_still_good(setting: Setting, image: Goal | None, standing: Standing) -> None:
    """Stop where somebody has left the image that soaks: the stages after it would get it."""
    left = image is not None and image.version in standing.pins
    if left or standing.settled != image:
        raise GoalFailed(
            f"{setting.key} left {image} while it soaked.",
            remedy="The stages after it were not begun. See who did it, and why: invoke history",
        )
