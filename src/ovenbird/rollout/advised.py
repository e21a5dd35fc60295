"""Whether the advisories about an image stop its rollout: asked once, before anything is touched.

A rollback is never stopped, nor is a repair, nor a rollout that has begun, nor one to the image
that has settled here: it serves already, and to stop its configuration would help nobody.
"""

from __future__ import annotations

from ovenbird.catalog.inventory import Inventories
from ovenbird.packages.advised import inside, refusal, watch_of
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Inconclusive, OvenbirdError

NOT_TO_WAIT = "Not to wait: --emergency --because …"


def advisory_hold(setting: Setting, chosen: Chosen, *, emergency: bool) -> OvenbirdError | None:
    """Return why a rollout may not begin: `Blocked` with what is stopped, or `Inconclusive` where
    that cannot be known; None where it may. An emergency asks nothing."""
    settled = setting.book.standing().settled
    serves = settled is not None and settled.version == chosen.goal.version
    if emergency or chosen.kind != "rollout" or chosen.resumed is not None or serves:
        return None
    watch = watch_of(setting.project, setting.site.folder, setting.clock.now())
    gate = watch.settings.gate_for(setting.key.env) if watch else None
    if watch is None or gate is None:
        return None
    image = chosen.goal.version
    known = Inventories(setting.site.database).all_of(chosen.version)
    try:
        return refusal(
            watch,
            gate,
            inside(image, [chosen.artifact.provider], {each.provider: each for each in known}),
            image=image,
            family=chosen.version.family,
            towards=str(setting.key),
            instead=NOT_TO_WAIT,
        )
    except Inconclusive as unknown:
        return Inconclusive(
            unknown.problem,
            remedy=f"{unknown.remedy}\n{NOT_TO_WAIT}",
            evidence=unknown.evidence,
        )
