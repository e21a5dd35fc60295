"""Roll a whole environment: its fleets by stage, each stage after the one before has soaked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from ovenbird.fleet.gate import seconds
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import GoalFailed


def in_stages(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Group fleets by their ``stage:``, the lowest first, in the order of the file."""
    stages = sorted({setting.fleet.stage for setting in settings})
    return [[s for s in settings if s.fleet.stage == stage] for stage in stages]


def roll_all(settings: Sequence[Setting], roll: Callable[[Setting], None]) -> None:
    """Roll every fleet with ``roll``; what it raises stops everything that is left.

    Raises `GoalFailed` where a fleet does not stay healthy while its stage soaks.
    """
    stages = in_stages(settings)
    for number, stage in enumerate(stages, start=1):
        for setting in stage:
            roll(setting)
        if number < len(stages):
            for setting in stage:
                soak(setting)


def soak(setting: Setting) -> None:
    """Watch a fleet until it has served its image for ``soak`` seconds, from stored times.

    A rollout that completed an hour ago has soaked for an hour, whoever watched.
    """
    lookout, wanted = Lookout(setting), timedelta(seconds=setting.fleet.procedure.soak)
    while (settled_at := setting.book.standing().settled_at) is not None:
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
