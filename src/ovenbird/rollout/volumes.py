"""Which slot the next launch is for, and whether anybody still writes to its volumes.

A lost instance may still run, and write, on a host that nobody sees. So its slot is nobody
else's until its engine says that it is gone; no time-out makes that true.
"""

from __future__ import annotations

from collections.abc import Collection

from ovenbird.rollout.records import Record
from ovenbird.rollout.setting import Setting
from ovenbird.rollout.slots import free_slot
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import EngineState, Seen


def slot_for_a_launch(setting: Setting, expected: Collection[Record]) -> int:
    """Return the lowest slot that nobody has; ``expected`` ones are not listed yet and have theirs.

    Raises `Blocked` for a fleet with volumes where each slot below its size is held.
    """
    seen = [s for s in setting.provider.instances(setting.key) if not s.job]
    slot = free_slot({s.slot for s in seen} | {record.slot for record in expected})
    if setting.fleet.is_stateful and slot >= setting.bounds.size:
        raise _all_held(setting, seen)
    return slot


def require_detached(setting: Setting, slot: int) -> str:
    """Return how the volumes of a slot are: "data of web-0 is detached", or new; "" without any.

    Raises `Blocked` where anything has one of them attached. The engine proves it once more.
    """
    wanted = {spec.name for spec in setting.fleet.volumes}
    if not wanted:
        return ""
    here = [v for v in setting.provider.volumes(setting.key) if v.slot == slot]
    mine = [v for v in here if v.spec in wanted]
    if used := [v for v in mine if v.used_by]:
        raise Blocked(
            f"The volume {used[0].name} of {setting.key.name}-{slot} is in use by "
            f"{', '.join(used[0].used_by)}.",
            remedy="Nothing was launched: a volume never has two writers. See that it ends, then "
            "run this again.",
        )
    there = {v.spec for v in mine}
    names = [spec.name for spec in setting.fleet.volumes]
    told = (
        ([name for name in names if name in there], "detached"),
        ([name for name in names if name not in there], "new"),
    )
    slot_name = f"{setting.key.name}-{slot}"
    return "; ".join(
        f"{', '.join(which)} of {slot_name} {'is' if len(which) == 1 else 'are'} {how}"
        for which, how in told
        if which
    )


def _all_held(setting: Setting, seen: Collection[Seen]) -> Blocked:
    """Name who holds a slot without counting as there, and what proves that it is gone."""
    gone = [s for s in seen if s.state is EngineState.LOST]
    holder = min(gone or seen, key=lambda s: (s.slot, s.token))
    engine, lost = setting.fleet.provider, holder.state is EngineState.LOST
    why = "which is lost and may still run" if lost else f"which is {holder.state}"
    return Blocked(
        f"Slot {holder.slot} of {setting.key} is held by {holder.token}, {why}: nobody else may "
        "have its volumes.",
        remedy=f"Nothing was launched. Prove that it is gone: let its host return, or remove "
        f"{holder.token} with {engine}'s own tool where it lives. When {engine} lists it no more, "
        "run this again.",
    )
