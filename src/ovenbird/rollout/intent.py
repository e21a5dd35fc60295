"""Tell what a rollout would do from here: the text for the prompt, and whether to ask."""

from __future__ import annotations

from dataclasses import dataclass

from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.preview import RehearsalDocument, document, rehearse
from ovenbird.rollout.rehearsal import play
from ovenbird.rollout.setting import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A rehearsal of one rollout. ``needs_an_answer`` is False where no step would be taken."""

    text: str
    document: RehearsalDocument
    needs_an_answer: bool


def foresee(setting: Setting, chosen: Chosen) -> Foreseen:
    """Rehearse a rollout from what is observed now. Nothing is changed, nothing is promised."""
    observed = Lookout(setting).look_twice()
    least = setting.fleet.health.min_healthy_time
    played = play(chosen.goal, setting.bounds, observed, untried=chosen.untried)
    return Foreseen(
        text=rehearse(
            setting.key,
            chosen.goal,
            setting.bounds,
            observed,
            untried=chosen.untried,
            min_healthy_time=least,
            notes=chosen.notes,
        ),
        document=document(played, min_healthy_time=least),
        needs_an_answer=bool(played.waves),
    )
