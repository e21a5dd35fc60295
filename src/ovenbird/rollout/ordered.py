"""Plan the next wave of a fleet, in the order that its operator's own program gives.

The program is asked only where its answer decides something: before a wave that would end an
instance which is well and whose slot stays. What is ill, or beyond the size, goes first anyway.
"""

from __future__ import annotations

from ovenbird.fleet.order import ranked
from ovenbird.rollout.bucket import is_ill
from ovenbird.rollout.plan import Pace, Plan, Retire, Terminate, Wave, next_wave
from ovenbird.rollout.setting import Setting
from ovenbird.values.instance import Goal, Instance

Observed = tuple[Instance, ...]


def next_in_order(
    setting: Setting, goal: Goal, observed: Observed, *, untried: bool, pace: Pace
) -> Plan:
    """Choose the next wave as `next_wave` does, with the ranks of the fleet's ``order``.

    Raises `Blocked`, before anything is ended, where that program gives no clear answer.
    """
    plan = next_wave(goal, setting.bounds, observed, untried=untried, pace=pace)
    hook = setting.fleet.order
    if hook is None or not _ends_a_good_one(setting, plan, observed):
        return plan
    setting.console.progress(f"asking {hook.argv[0]} who goes last")
    known = ranked(hook, observed, fleet=setting.key, project=setting.project)
    return next_wave(goal, setting.bounds, known, untried=untried, pace=pace)


def _ends_a_good_one(setting: Setting, plan: Plan, observed: Observed) -> bool:
    steps = plan.steps if isinstance(plan, Wave) else ()
    out = {step.token for step in steps if isinstance(step, Terminate | Retire)}
    stays = setting.bounds.size
    return any(i.token in out and not is_ill(i) and i.slot < stays for i in observed)
