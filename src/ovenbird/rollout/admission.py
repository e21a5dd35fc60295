"""Let instances through the gate: once, durable, and only those that somebody judges."""

from __future__ import annotations

from ovenbird.fleet.smoke import run_smoke
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.values.instance import Goal


def admit(setting: Setting, chosen: Chosen, lookout: Lookout) -> bool:
    """Accept who has passed the gate and the smoke test, before anybody registers it, so that a
    resumed driver knows; True where anybody has passed the gate.

    What another rollout launched is judged by that one alone: a repair leaves it as it is, and a
    rollout or rollback, which replaces it anyway, never sends it traffic.
    """
    passed = lookout.ready_for_traffic()
    for token, because in passed:
        record = lookout.records[token]
        if Goal(version=record.version, launch_hash=record.launch_hash) != chosen.goal:
            if chosen.kind != "repair":
                setting.records.condemn(token, because="launched for another goal, never judged")
            continue
        if (fault := _smoke(setting, chosen, lookout, token)) is not None:
            setting.records.condemn(token, because=fault)
            setting.console.step(f"{token} is not good enough: {fault}")
            continue
        setting.records.accept(token, at=setting.clock.now())
        setting.console.note(f"  {token} is healthy: {because}")
    return bool(passed)


def _smoke(setting: Setting, chosen: Chosen, lookout: Lookout, token: str) -> str | None:
    """Run the operator's own judge on a new instance; return what is wrong, or None."""
    spec = setting.fleet.procedure.smoke
    if spec is None or chosen.kind != "rollout":
        return None
    seen = lookout.seen(token)
    setting.console.progress(f"smoke test of {token}: {spec.argv[0]}")
    verdict = run_smoke(
        spec, seen, fleet=setting.key, image=chosen.goal.version, project=setting.project
    )
    return None if verdict.passed else f"{verdict.because}\n{verdict.evidence}".strip()
