"""Everything that a look at packages, and a patch run, need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from ovenbird.assembly import baking, rolling
from ovenbird.assembly.advising import require_promotable
from ovenbird.assembly.sealed import catalog_of
from ovenbird.catalog import Catalog
from ovenbird.clock import Clock, SystemClock
from ovenbird.config import load_bake_environment, load_environments, load_families, load_fleets
from ovenbird.console import Console
from ovenbird.fleet.launch import resolve
from ovenbird.patch import Came
from ovenbird.patch.facts import MADE_BY, line_of
from ovenbird.patch.path import Line
from ovenbird.patch.runs import Runs
from ovenbird.report.behind import Behind, Sources, behind, in_use, of_images
from ovenbird.state.history import whoami
from ovenbird.state.lock import lock_of
from ovenbird.state.site import Site
from ovenbird.values.errors import Busy, ConfigurationError
from ovenbird.values.family import Family
from ovenbird.values.fleet import Fleet, LaunchSpec, SecretRef
from ovenbird.values.image import Contract, ImageRef, Version
from ovenbird.values.patch import Patching


def images_behind(project: Path, site: Site, *, family: str = "") -> list[Behind]:
    """Hold every image in use against its sources, or those of one family."""
    catalog, families = Catalog(site.database), load_families(project)
    if family and family not in families and not catalog.versions(family):
        raise ConfigurationError.of(
            f"There is no family {family!r}; there are {', '.join(sorted(families))}.",
            remedy="Name one of those.",
        )
    where = in_use(site, catalog)
    return behind(
        of_images(catalog, where, family=family),
        where,
        database=site.database,
        sources=Sources(site, load_bake_environment(project), families),
        now=SystemClock().now(),
    )


@contextmanager
def alone(site: Site) -> Iterator[None]:
    """Let one patch run at a time work on this host's site. Raises `Busy`."""
    lock = lock_of(site.folder, "patch")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise Busy(
            "Another patch run is at work on this site.",
            remedy="Nothing was done. Look how far it is: invoke schedule.show",
        ) from None
    with held:
        yield


@dataclass(slots=True)
class World:
    """What a patch run sees and does for real: `ovenbird.patch.World`."""

    project: Path
    site: Site
    console: Console
    patching: Patching
    families: Mapping[str, Family]
    clock: Clock = field(default_factory=SystemClock)

    @property
    def _catalog(self) -> Catalog:
        return catalog_of(self.site)

    def newest(self, family: str) -> Version | None:
        return self._catalog.newest(family)

    def behind(self, families: Sequence[str]) -> Mapping[str, Behind]:
        """Hold the newest image of each family against its sources, whether in use or not."""
        newest = [image for name in families if (image := self.newest(name))]
        found = behind(
            newest,
            {str(image): () for image in newest},
            database=self.site.database,
            sources=Sources(self.site, load_bake_environment(self.project), self.families),
            now=self.clock.now(),
        )
        return {one.version.family: one for one in found}

    def line(self, family: str) -> Line:
        self._catalog.require_channels(family)
        return line_of(
            family,
            self.patching.path,
            self._wanted(),
            database=self.site.database,
            catalog=self._catalog,
            now=self.clock.now(),
        )

    def bake(self, family: str, *, because: str) -> Version:
        """Bake a family on the engines that hold its newest image, of the packages of today."""
        from ovenbird.bake import bake
        from ovenbird.bake.bakery import Wish

        newest = self.newest(family)
        on = ",".join(each.provider for each in newest.artifacts) if newest else ""
        bakeries = baking.bakeries(
            self.project, self.site, self.console, on=on or self._engine_for(family)
        )
        wish = Wish(refresh=True, because=f"{MADE_BY}{because}")
        made = bake(family, bakeries, wish)
        if made.fresh or newest is None:
            return made.version
        # Its age is the reason, and no index has moved: the same packages, proven today.
        return bake(family, bakeries, Wish(force=True, because=wish.because)).version

    def promote(self, image: str, env: str, *, because: str) -> None:
        version = self._catalog.resolve(ImageRef.parse(image))
        require_promotable(self.project, self.site, version, env)
        self._catalog.promote(
            ImageRef.parse(image),
            env,
            by=whoami(),
            because=f"{MADE_BY}{because}",
            at=self.clock.now(),
        )

    def roll(self, image: str, env: str, fleet: str, *, because: str) -> None:
        from ovenbird.rollout import open_entrances, roll_out
        from ovenbird.rollout.drive import Outcome
        from ovenbird.rollout.goal import choose

        wanted = rolling.fleet_named(self.project, env, fleet)
        setting = rolling.setting(self.project, self.site, self.console, wanted)
        open_entrances(setting)
        chosen = choose(setting, image=image)
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        roll_out(setting, chosen, outcome, because=f"{MADE_BY}{because}")

    def _wanted(self) -> dict[str, list[Fleet]]:
        known = load_environments(self.project)
        return {
            step.env: list(load_fleets(self.project, step.env).values())
            for step in self.patching.path
            if step.env in known
        }

    def _engine_for(self, family: str) -> str:
        """Name the engines of the fleets that follow a family, for its first image."""
        wanted = [fleet for fleets in self._wanted().values() for fleet in fleets]
        found = {fleet.provider for fleet in wanted if fleet.image.family == family}
        return ",".join(sorted(found & set(baking.OVENS))) or "podman"


def tell(project: Path, site: Site, patching: Patching, came: Sequence[Came]) -> None:
    """Notify whom inventories/patch.yml names, and write the metrics that it asks for."""
    from ovenbird.patch.notify import message, send, worth_telling
    from ovenbird.report.metrics import write

    runs = Runs(site.database)
    if patching.metrics and (last := next(iter(runs.last(1)), None)):
        write(
            project / Path(patching.metrics).expanduser(),
            images_behind(project, site),
            database=site.database,
            run_at=last.started_at,
            outcome=last.outcome,
            failures=runs.failures(),
            now=SystemClock().now(),
        )
    if patching.notify and worth_telling(came):
        title, text = message(came, site=site.id)
        send(_urls(project, site, patching), title, text)


def _urls(project: Path, site: Site, patching: Patching) -> list[str]:
    refs = [
        SecretRef(name=f"notify{number}", reference=reference)
        for number, reference in enumerate(patching.notify, start=1)
    ]
    found = resolve(
        LaunchSpec(secrets=tuple(refs)),
        contract=Contract(),
        site_key=site.key,
        project=project,
        fleet="a patch run",
        file="inventories/patch.yml",
    )
    return [value.decode().strip() for _, value in found.secrets]


def world(project: Path, site: Site, console: Console, patching: Patching) -> World:
    """Make everything ready for a patch run."""
    return World(project, site, console, patching, load_families(project))
