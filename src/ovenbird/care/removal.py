"""End a fleet for good: all of its instances, its entrance, and what is known of it.

From the first moment that is recorded its size is 0 to everybody, so a killed removal is finished
by `tend`. Its volumes stay: no end of a fleet deletes data.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ovenbird.care.acts import Wish, carry_out, observed_in
from ovenbird.rollout.bucket import is_listed
from ovenbird.rollout.goal import choose_removal
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.setting import Setting
from ovenbird.values.image import StopPolicy
from ovenbird.values.instance import Health, Instance


def remove(setting: Setting, *, because: str) -> Wish:
    """Wish for a fleet to be gone. ``setting`` may be of one that has left its file.

    A rollout that waits is cancelled by it; what never passed its gate is not waited for.
    """
    observed = observed_in(setting)
    file = setting.fleet.size if setting.fleet.file_size is None else setting.fleet.file_size
    after = replace(setting, fleet=replace(setting.fleet, size=0, file_size=file))
    chosen = choose_removal(after, [i.version for i in observed])
    standing, volumes = setting.book.standing(), _volumes(setting)
    before = standing.settled.version if standing.settled else ""

    def write(lease: Lease) -> None:
        if standing.removed_at is None:
            now = setting.clock.now()
            setting.book.begin_removal(lease.require, by=setting.by, because=because, at=now)

    def forget(lease: Lease) -> None:
        if chosen is None:
            _end_what_is_in_the_air(setting, lease)
        _close(setting, lease)
        now = setting.clock.now()
        setting.book.forget(lease.require, by=setting.by, because=because, before=before, at=now)

    lines = [f"{setting.key}: ends for good, {len(observed)} instances"]
    lines += [f"  {_told(i)}" for i in sorted(observed, key=lambda i: (i.slot, i.token))]
    stay = f"its volumes stay: {', '.join(volumes)}"
    lines += [f"  {stay}"] if volumes else []
    told = f"{setting.key} is removed" + (f"; {stay}" if volumes else "") + _lost(observed)
    return Wish(
        setting=after,
        text="\n".join(lines),
        because=because or "removed",
        write=write,
        chosen=chosen,
        told=f"{told}; " if chosen else told,
        then=forget,
    )


def finish_removal(setting: Setting) -> str:
    """Go on with a removal that somebody began: what `tend` does; return how it came out."""
    return carry_out(remove(setting, because="its removal was begun before"))


def _end_what_is_in_the_air(setting: Setting, lease: Lease) -> None:
    """End by its token what a killed driver may have launched, where no repair does it."""
    for step in setting.journal.in_the_air():
        with setting.calls.alone():
            if setting.journal.take_again(step, lease.require):
                setting.provider.terminate(step.token, stop=StopPolicy())
                at, why = setting.clock.now(), "its fleet was removed while it was in the air"
                setting.journal.ended(step.step, step.token, because=why, console="", at=at)


def _close(setting: Setting, lease: Lease) -> None:
    for balancer in setting.balancers:
        with setting.calls.alone():
            lease.renew_or_raise()
            balancer.close()


def _volumes(setting: Setting) -> list[str]:
    return [volume.name for volume in setting.provider.volumes(setting.key)]


def _told(i: Instance) -> str:
    if i.quarantined and not is_listed(i):
        how = "in quarantine"
    else:
        how = "kept out of service" if i.kept and not is_listed(i) else str(i.health)
    return f"{i.token}  {i.version}  {how}"


def _lost(observed: Collection[Instance]) -> str:
    lost = ", ".join(sorted(i.token for i in observed if i.health is Health.LOST))
    again = "their host is gone; should it return, remove the fleet again"
    return f"; not ended: {lost}, {again}" if lost else ""
