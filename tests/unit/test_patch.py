"""A patch run over a world of values: what it does, in which order, and after it was killed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from tests.builders import NOW, a_package, a_version

from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.packages.stale import Update
from ovenbird.patch import Came, outcome_of, patch
from ovenbird.patch.path import Line, Place, Stop
from ovenbird.report.behind import Behind, Late
from ovenbird.values.errors import BakeFailed
from ovenbird.values.family import Family
from ovenbird.values.image import Version
from ovenbird.values.patch import Patching, Step

FAMILIES = {
    "base": Family(name="base", playbook="base.yml"),
    "web": Family(name="web", playbook="web.yml", parent="base"),
    "api": Family(name="api", playbook="api.yml", parent="base"),
}
PATH = Patching(path=(Step(env="dev"), Step(env="staging")))


class Killed(BaseException):
    """What SIGKILL does: nothing after it is done, and nobody hears of it."""


@dataclass
class World:
    """Images with one package that is behind as long as ``update`` is there. ``deeds`` is what
    was done; the ``kill_at``-th deed is cut off before or after it took effect."""

    images: dict[str, list[Version]] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    update: bool = False
    channels: dict[tuple[str, str], int] = field(default_factory=dict)
    settled: dict[tuple[str, str], int] = field(default_factory=dict)
    deeds: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    kill_at: int = -1
    kill_after: bool = False

    def newest(self, family: str) -> Version | None:
        return self.images[family][-1] if self.images.get(family) else None

    def behind(self, families: Sequence[str]) -> Mapping[str, Behind]:
        return {name: self._behind(image) for name in families if (image := self.newest(name))}

    def _behind(self, image: Version) -> Behind:
        if image.family in self.unknown:
            return Behind(version=image, where=(), problem="The index expired.", remedy="Look.")
        update = Update(package=a_package("bread"), version="2", suite="s", security=True)
        late = (Late(update=update, since=NOW),)
        return Behind(
            version=image,
            where=(),
            late=late if self.update and str(image) not in self.fresh else (),
        )

    def line(self, family: str) -> Line:
        if family == "base":
            return Line(family=family, stops=())
        newest = self.newest(family)
        return Line(
            family=family,
            stops=tuple(
                Stop(
                    env=env,
                    channel=self.channels.get((family, env)),
                    assigned_at=NOW,
                    places=(
                        Place(
                            name=family,
                            settled=self.settled.get((family, env)),
                            settled_at=NOW,
                        ),
                    ),
                )
                for env in ("dev", "staging")
            ),
            candidate=newest.number if newest else None,
        )

    def bake(self, family: str, *, because: str) -> Version:
        def took() -> None:
            known = self.images.setdefault(family, [])
            above = FAMILIES[family].parent
            parent = self.newest(above) if above else None
            made = replace(
                a_version(len(known) + 1, family=family), parent=str(parent) if parent else None
            )
            known.append(made)
            self.fresh.add(str(made))

        self._deed(f"bake {family}", took)
        if family in self.bad:
            raise AssertionError("unreachable")
        return self.images[family][-1]

    def promote(self, image: str, env: str, *, because: str) -> None:
        family, _, number = image.partition("/")
        self._deed(
            f"promote {image} {env}",
            lambda: self.channels.__setitem__((family, env), int(number)),
        )

    def roll(self, image: str, env: str, fleet: str, *, because: str) -> None:
        family, _, number = image.partition("/")
        self._deed(
            f"roll {env}/{fleet} {image}",
            lambda: self.settled.__setitem__((family, env), int(number)),
        )

    def _deed(self, name: str, took: object) -> None:
        if len(self.deeds) == self.kill_at and not self.kill_after:
            self.deeds.append("killed")
            raise Killed
        if name.startswith("bake ") and name.removeprefix("bake ") in self.bad:
            self.deeds.append(f"{name} fails")
            raise BakeFailed("The oven is cold.", remedy="Warm it.")
        self.deeds.append(name)
        took()  # type: ignore[operator]
        if len(self.deeds) - 1 == self.kill_at:
            raise Killed


def a_world(**more: object) -> World:
    """One image each, everywhere, and a security update waiting in all."""
    images = {name: [a_version(1, family=name)] for name in FAMILIES}
    places = {(name, env): 1 for name in ("web", "api") for env in ("dev", "staging")}
    return World(
        images=images,
        channels=dict(places),
        settled=dict(places),
        update=True,
        **more,  # type: ignore[arg-type]
    )


class Still(Clock):
    def now(self):  # type: ignore[no-untyped-def]
        return NOW + timedelta(hours=1)

    def sleep(self, seconds: float) -> None:
        raise AssertionError("no run waits for a soak")


def run(world: World, *, rehearse: bool = False) -> list[Came]:
    return patch(
        FAMILIES,
        PATH,
        world,
        clock=Still(),
        console=Console(err=io.StringIO(), out=io.StringIO()),
        rehearse=rehearse,
    )


WHOLE = [
    "bake base",
    "bake web",
    "promote web/2 dev",
    "roll dev/web web/2",
    "promote web/2 staging",
    "roll staging/web web/2",
    "bake api",
    "promote api/2 dev",
    "roll dev/api api/2",
    "promote api/2 staging",
    "roll staging/api api/2",
]


def test_an_update_goes_through_the_tree_and_along_the_path() -> None:
    world = a_world()

    assert outcome_of(run(world)) == "done"
    assert world.deeds == WHOLE


def test_a_run_with_nothing_to_do_does_nothing_and_says_why() -> None:
    world = replace(a_world(), update=False)

    came = run(world)

    assert world.deeds == []
    assert str(came[1]) == "nothing in web/1 has an update; web/1 is everywhere"


@pytest.mark.parametrize("late", [False, True], ids=["before it took effect", "after it"])
@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_run_that_is_killed_at_any_step_is_finished_by_the_next_and_bakes_nothing_twice(
    at: int, late: bool
) -> None:
    world = a_world(kill_at=at, kill_after=late)

    with pytest.raises(Killed):
        run(world)
    world.kill_at = -1
    run(world)

    assert [deed for deed in world.deeds if deed != "killed"] == WHOLE
    run(world)
    assert len([deed for deed in world.deeds if deed != "killed"]) == len(WHOLE)


def test_a_family_that_fails_does_not_hold_the_others_and_its_children_wait() -> None:
    world = a_world(bad={"web"})
    came = {each.family: each for each in run(world)}
    assert came["web"].outcome == "failed"
    assert came["web"].remedy == "Warm it."
    assert came["api"].outcome == "done"
    assert world.settled["api", "staging"] == 2

    world = a_world(bad={"base"})
    came = {each.family: each for each in run(world)}
    assert "waits for base, its parent" in str(came["web"])
    assert outcome_of(list(came.values())) == "failed"
    assert world.deeds == ["bake base fails"]


def test_an_index_that_says_nothing_is_inconclusive_and_never_nothing_to_do() -> None:
    world = a_world(unknown={"web"})

    came = {each.family: each for each in run(replace(world, update=False))}

    assert (came["web"].outcome, came["api"].outcome) == ("inconclusive", "done")
    assert "The index expired." in str(came["web"])


def test_a_rehearsal_says_all_that_would_be_done_and_does_none_of_it() -> None:
    world = a_world()

    web = {each.family: each for each in run(world, rehearse=True)}["web"]

    assert world.deeds == []
    assert web.did == [
        "would bake it: 1 update for security",
        "would promote web/2 to dev",
        "would roll dev/web to web/2",
        "would promote web/2 to staging",
        "would roll staging/web to web/2",
    ]
