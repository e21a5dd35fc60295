"""Tell what a rollout would do from here: the text for the prompt, and whether to ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ovenbird.rollout.advised import advisory_hold
from ovenbird.rollout.before import said_before
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.inside import inside
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.pacing import spares, standing_hold
from ovenbird.rollout.preview import RehearsalDocument, document, rehearse
from ovenbird.rollout.rehearsal import ROLLING, play
from ovenbird.rollout.repair import as_settled
from ovenbird.rollout.setting import Setting
from ovenbird.values.instance import Instance
from ovenbird.values.procedure import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A rehearsal of one rollout. ``needs_an_answer`` is False where no step would be taken."""

    text: str
    document: RehearsalDocument
    needs_an_answer: bool


def foresee(setting: Setting, chosen: Chosen, *, emergency: bool = False) -> Foreseen:
    """Rehearse a rollout from what is observed now. Nothing is changed, nothing is promised."""
    observed = Lookout(setting).look_twice()
    least = setting.fleet.health.min_healthy_time
    procedure = setting.fleet.procedure
    if emergency or chosen.kind != "rollout":  # these pass every checkpoint without a stop
        blue_green = procedure.strategy is Strategy.BLUE_GREEN
        strategy = Strategy.BLUE_GREEN if blue_green else Strategy.ROLLING
        keep = 0.0 if chosen.kind == "rollback" else procedure.keep_previous  # the bad are ended
        procedure = replace(procedure, strategy=strategy, checkpoints=(), keep_previous=keep)
    passed = len(setting.checkpoints.reached(chosen.resumed)) if chosen.resumed else 0
    hold = standing_hold(setting, chosen, emergency=emergency)
    first = said_before(setting, chosen)
    brings = [f"Inside {told}." for told in [inside(setting, chosen)] if told]
    holds = [hold, advisory_hold(setting, chosen, emergency=emergency)]
    held = [each.problem for each in holds if each]
    notes = [*sizes(setting), *chosen.notes, *brings, *first, *held]
    played = play(
        chosen.goal,
        setting.bounds,
        observed,
        untried=chosen.untried,
        procedure=procedure,
        passed=max(passed - 1, 0),
    )
    text = rehearse(
        setting.key,
        chosen.goal,
        setting.bounds,
        observed,
        untried=chosen.untried,
        procedure=procedure,
        passed=max(passed - 1, 0),
        min_healthy_time=least,
        notes=notes,
    )
    return Foreseen(
        text=text,
        document=document(played, min_healthy_time=least),
        needs_an_answer=bool(played.waves),
    )


def foresee_repair(
    setting: Setting, chosen: Chosen, observed: Collection[Instance], *, notes: Sequence[str] = ()
) -> Foreseen:
    """Rehearse a repair of a fleet as it was ``observed``, with the wishes that are in it."""
    fleet = as_settled(chosen.goal, observed, has_surge=setting.bounds.surge > 0)
    least = setting.fleet.health.min_healthy_time
    left = spares(setting, chosen)
    played = play(chosen.goal, setting.bounds, fleet, untried=False, procedure=ROLLING, spares=left)
    text = rehearse(
        setting.key,
        chosen.goal,
        setting.bounds,
        fleet,
        untried=False,
        min_healthy_time=least,
        notes=[*sizes(setting), *notes, *chosen.notes],
        spares=left,
    )
    return Foreseen(
        text=text,
        document=document(played, min_healthy_time=least),
        needs_an_answer=bool(played.waves),
    )


def sizes(setting: Setting) -> list[str]:
    """Tell a recorded size beside that of the file: ``size 5 (file 3)``."""
    fleet = setting.fleet
    return [] if fleet.file_size is None else [f"size {fleet.size} (file {fleet.file_size})"]
