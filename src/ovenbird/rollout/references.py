"""Which versions a site's fleets need, as its state tells: read in one transaction, so that what is
decided on it still holds when it is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, func, select

from ovenbird.catalog.needs import Needs, References
from ovenbird.rollout.begun import MAIN
from ovenbird.state.tables import failed_goals, fleets, instances, pins, rollouts, served, versions
from ovenbird.values.image import ImageState

ARRIVED = ("done", "superseded")
LAUNCHABLE = (ImageState.ACTIVE, ImageState.DEPRECATED)


def references_in(db: Connection, *, missing: Collection[str] = ()) -> References:
    """Read who runs, has settled on, goes to, came from, and would go back to which version.

    A rollback passes over what its engine does not hold: that is ``missing``, and the one behind
    it is needed as well.
    """
    settled = db.execute(
        select(fleets.c.env, fleets.c.name, fleets.c.settled, fleets.c.settled_at).where(
            fleets.c.settled.is_not(None)
        )
    ).all()
    refused = db.execute(select(pins.c.env, pins.c.fleet, pins.c.version)).all()
    kept = select(versions.c.family, versions.c.number, versions.c.kept_because).where(
        versions.c.kept_because.is_not(None)
    )
    return References(
        running=running_in(db),
        settled=_gathered((row.settled, f"{row.env}/{row.name}") for row in settled),
        goals=_gathered(_goals(db)),
        back=_gathered(_back(db, {(row.env, row.name): row.settled for row in settled}, missing)),
        left=_gathered((row.version, f"{row.env}/{row.fleet}") for row in refused),
        failed=_gathered(_failed(db)),
        kept={f"{row.family}/{row.number}": row.kept_because for row in db.execute(kept)},
    )


def running_in(db: Connection) -> dict[str, dict[str, int]]:
    """Count by version and fleet the instances that were ordered and have not ended."""
    query = (
        select(instances.c.version, instances.c.env, instances.c.fleet, func.count())
        .where(instances.c.ended_at.is_(None))
        .group_by(instances.c.version, instances.c.env, instances.c.fleet)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for version, env, fleet, count in db.execute(query):
        found[version][f"{env}/{fleet}"] = count
    return dict(found)


def _goals(db: Connection) -> Iterable[tuple[str, str]]:
    """Both ends of every rollout that is under way, or that has not arrived and is the last one of
    its fleet: whatever stopped it, another one may go on with it."""
    last = (
        select(func.max(rollouts.c.number))
        .where(rollouts.c.kind.in_(MAIN))
        .group_by(rollouts.c.env, rollouts.c.fleet)
    )
    goes_on = rollouts.c.number.in_(last) & rollouts.c.outcome.not_in(ARRIVED)
    query = select(rollouts).where(goes_on | (rollouts.c.outcome == "running"))
    for row in db.execute(query).all():
        yield row.goal, f"{row.env}/{row.fleet}"
        if row.before:
            yield row.before, f"{row.env}/{row.fleet}"


def _failed(db: Connection) -> Iterable[tuple[str, str]]:
    """The goals that failed in a fleet, until something has completed there after them."""
    here = (fleets.c.env == failed_goals.c.env) & (fleets.c.name == failed_goals.c.fleet)
    query = (
        select(failed_goals.c.env, failed_goals.c.fleet, failed_goals.c.version)
        .outerjoin(fleets, here)
        .where(fleets.c.settled_at.is_(None) | (fleets.c.settled_at <= failed_goals.c.at))
        .distinct()
    )
    for env, fleet, version in db.execute(query).all():
        yield version, f"{env}/{fleet}"


def _back(
    db: Connection, settled: Mapping[tuple[str, str], str], missing: Collection[str]
) -> Iterable[tuple[str, str]]:
    """What each fleet would go back to: the last that completed and served there, may launch, and
    is neither what it has settled on nor refused; and behind what is missing the one before."""
    states = select(versions.c.family, versions.c.number).where(versions.c.state.in_(LAUNCHABLE))
    good = {f"{family}/{number}" for family, number in db.execute(states)}
    good_there = {
        tuple(row) for row in db.execute(select(served.c.env, served.c.fleet, served.c.version))
    }
    refused = {tuple(row) for row in db.execute(select(pins.c.env, pins.c.fleet, pins.c.version))}
    last = func.max(rollouts.c.number)
    completed = (
        select(rollouts.c.env, rollouts.c.fleet, rollouts.c.goal)
        .where(rollouts.c.outcome == "done", rollouts.c.kind.in_(MAIN))
        .group_by(rollouts.c.env, rollouts.c.fleet, rollouts.c.goal)
        .order_by(last.desc())
    )
    found: set[tuple[str, str]] = set()
    for env, fleet, goal in db.execute(completed).all():
        here = (env, fleet)
        if here in found or goal == settled.get(here, goal):
            continue
        if goal in good and (env, fleet, goal) in good_there - refused:
            yield goal, f"{env}/{fleet}"
            found |= {here} if goal not in missing else set()


def _gathered(found: Iterable[tuple[str, str]]) -> Needs:
    needs: dict[str, dict[str, None]] = defaultdict(dict)
    for version, who in found:
        needs[version][who] = None
    return {version: tuple(who) for version, who in needs.items()}
