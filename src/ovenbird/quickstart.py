"""The whole way in one command: bake, prove, roll out under traffic, roll back, and look.

It has a site and a port of its own, so that it meets nothing else, and leaves its fleet running.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ovenbird.assembly import baking, rolling
from ovenbird.bake import bake
from ovenbird.bake.bakery import Bakery, Wish
from ovenbird.bake.upkeep import clean_after_the_dead
from ovenbird.balancer import haproxy_process
from ovenbird.console import Console
from ovenbird.fleet.traffic import Traffic
from ovenbird.provider.podman import PodmanProvider
from ovenbird.report.status import Status, status_of
from ovenbird.rollout import open_entrances, roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import Chosen, choose, choose_rollback
from ovenbird.rollout.intent import foresee
from ovenbird.rollout.setting import Setting
from ovenbird.state.site import Site
from ovenbird.values.errors import GoalFailed
from ovenbird.values.image import ImageRef, StopPolicy, Version

ENV = "quickstart"
CHANGE = ("web_title", json.dumps("Ovenbird, changed"))
RATE = 50


@dataclass(slots=True, kw_only=True)
class Shown:
    """What there is to look at afterwards. ``seconds`` is told by stage."""

    status: Status
    address: str
    seconds: dict[str, float] = field(default_factory=dict)


def quickstart(project: Path, site: Site, console: Console) -> Shown:
    """Go the whole way once. Run again, it finds its images and goes the rest of it."""
    seconds: dict[str, float] = {}
    bakery = baking.bakery(project, site, console)
    fleet = rolling.fleet_named(project, ENV, "web")
    setting = rolling.setting(project, site, console, fleet)
    address = f"http://{fleet.balancers[0].bind}"
    with _timed("bake and prove base and web", seconds, console):
        first = _bake(bakery)
        _promote(setting, first)
    with _timed("start a fleet of three", seconds, console):
        setting.book.unpin(by=setting.by, because="a quickstart begins", at=setting.clock.now())
        _roll(setting, choose(setting, image=str(first), retry=True))
    with _timed("bake and prove a changed web", seconds, console):
        second = _bake(_changed(bakery))
    with _timed(f"roll it out at {RATE} requests a second", seconds, console):
        _under_traffic(setting, choose(setting, image=str(second), retry=True), address)
    with _timed("roll back", seconds, console):
        _under_traffic(setting, choose_rollback(setting), address)
    return Shown(status=status_of(setting), address=address, seconds=seconds)


def clean(project: Path, site: Site, console: Console) -> None:
    """Remove all that the quickstart made: servers, front door, images, and its site."""
    fleet = rolling.fleet_named(project, ENV, "web")
    setting = rolling.setting(project, site, console, fleet)
    provider = PodmanProvider(folder=site.folder, site=site.id)
    clean_after_the_dead(baking.bakery(project, site, console), kept_too=True)
    for balancer in setting.balancers:
        balancer.close()
    haproxy_process.stop(site.folder)
    for seen in provider.instances(setting.key):
        if seen.fleet.site == site.id:
            console.step(f"Ending {seen.token}")
            provider.terminate(seen.token, stop=_stop_of(setting, seen.version))
    for version in sorted(setting.catalog.versions(), key=lambda v: v.baked_at, reverse=True):
        for artifact in version.artifacts:
            console.step(f"Deleting {version}")
            provider.delete(artifact)
    shutil.rmtree(site.folder)


def _bake(bakery: Bakery) -> Version:
    result = bake("web", [bakery], Wish(because="quickstart"))
    if not result.fresh:
        bakery.console.step(f"{result.version} is that image already: {result.because}")
    return result.version


def _changed(bakery: Bakery) -> Bakery:
    """Give web another title, as an edit of packer/images.yml would."""
    web = bakery.families["web"]
    others = tuple(pair for pair in web.variables if pair[0] != CHANGE[0])
    changed = replace(web, variables=(*others, CHANGE))
    return replace(bakery, families={**bakery.families, "web": changed})


def _promote(setting: Setting, version: Version) -> None:
    if "stable" not in version.channels:
        setting.catalog.promote(
            ImageRef.parse(str(version)),
            "stable",
            by=setting.by,
            because="quickstart",
            at=setting.clock.now(),
        )


def _roll(setting: Setting, chosen: Chosen) -> None:
    open_entrances(setting)
    setting.console.note(foresee(setting, chosen).text)
    outcome = Outcome(before=chosen.before, after=str(chosen.goal))
    roll_out(setting, chosen, outcome, because="quickstart")
    setting.console.step(f"{setting.key}: {outcome.because}")


def _under_traffic(setting: Setting, chosen: Chosen, address: str) -> None:
    """Roll while somebody uses the service, and say how they fared."""
    with Traffic(address, rate=RATE) as traffic:
        _roll(setting, chosen)
    served = traffic.results()
    setting.console.step(f"Meanwhile, at {address}: {served}")
    if served.failed:
        raise GoalFailed(
            f"{len(served.failed)} of {served.served + len(served.failed)} requests failed.",
            remedy="This must not happen: please report it with the lines above.",
            evidence="\n".join(str(miss) for miss in served.failed[:10]),
        )


def _stop_of(setting: Setting, version: str) -> StopPolicy:
    return setting.catalog.resolve(ImageRef.parse(version)).contract.stop


@contextmanager
def _timed(stage: str, seconds: dict[str, float], console: Console) -> Iterator[None]:
    begun = time.monotonic()
    with console.inside(f"{stage[0].upper()}{stage[1:]}"):
        yield
    seconds[stage] = time.monotonic() - begun
