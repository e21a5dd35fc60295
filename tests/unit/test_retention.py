"""Which images go: never one that anybody needs, and none at all where the picture looks wrong."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, a_version
from tests.catalogs import Kept, a_catalog, is_there, needed

from ovenbird.catalog import needs, retention
from ovenbird.catalog.needs import RULES, References
from ovenbird.catalog.retention import Selection, chosen
from ovenbird.values.errors import Blocked, Inconclusive, OvenbirdError
from ovenbird.values.image import ImageState, Version
from ovenbird.values.retention import Retention

OLD = NOW - timedelta(days=75)
RULE = Retention(keep=1, min_age=timedelta(days=30))


def select(world: Kept, *, at_most: int = 20) -> Selection:
    return chosen(
        world.versions, world.references, world.retention, now=NOW, at_most=at_most, share=100
    )


def is_safe(world: Kept, *, at_most: int = 20) -> Selection:
    """Assert all that must hold of what is chosen."""
    found = select(world, at_most=at_most)
    going = [str(line.version) for line in found.going]
    waiting = {str(line.version) for line in found.waiting}
    kept = {str(line.version) for line in found.kept}
    there = {str(v) for v in world.versions if is_there(v)}
    assert len(going) <= at_most
    assert not {*going, *waiting} & needed(world)
    assert {*going, *waiting} == there - needed(world), "what nobody needs can go"
    assert kept == there & needed(world)
    children: dict[str | None, list[str]] = {}
    for version in world.versions:
        children.setdefault(version.parent, []).append(str(version))
    left = set(there)
    for name in going:  # whatever part of it is done
        left.discard(name)
        assert not left.intersection(children.get(name, ())), "none loses its parent"
    return found


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 30))
def test_nothing_that_is_needed_is_ever_chosen(chance: Random, size: int, at_most: int) -> None:
    is_safe(a_catalog(chance, size), at_most=at_most)


@pytest.fixture(scope="module")
def large() -> Kept:
    """A year of 5,000. shop never opted in; base and web keep ten, be they an hour old."""
    week, hour = timedelta(days=7), timedelta(hours=1)
    rules = {name: Retention(keep=2, min_age=week) for name in ("java", "web", "app")}
    rules["base"] = rules["web"] = Retention(keep=10, min_age=hour)
    return replace(a_catalog(Random(5000), 5000), retention=rules)


def test_nothing_that_is_needed_is_ever_chosen_of_5000(large: Kept) -> None:
    found = is_safe(large)

    assert len(found.going) == 20
    assert len(found.waiting) > 500  # else it would say nothing
    assert len(found.kept) > 500


@pytest.mark.parametrize("at_most", [1, 20, 5000])
def test_of_5000_the_choice_takes_less_than_a_second(large: Kept, at_most: int) -> None:
    begun = time.process_time()

    select(large, at_most=at_most)

    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("name", sorted(RULES))
def test_without_one_of_the_rules_something_that_is_needed_would_go(
    name: str, large: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = replace(large, references=replace(large.references, baking={"java": "a bake of app"}))
    is_safe(world, at_most=5000)
    monkeypatch.setitem(RULES, name, lambda *_: "")

    with pytest.raises((AssertionError, KeyError)):
        is_safe(world, at_most=5000)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_ancestors", lambda *_: {}),
        ("_children_first", lambda free: sorted(free, key=lambda v: v.baked_at)),
    ],
)
def test_without_the_lines_of_descent_some_would_lose_their_parent(
    name: str, fault: Any, large: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, name, fault)

    with pytest.raises(AssertionError):
        is_safe(large, at_most=5000)


# One by one, with its sentence.


def web(number: int, **facts: Any) -> Version:
    return replace(a_version(number), **{"baked_at": OLD, **facts})


def lines(*versions: Version, **who: Any) -> dict[str, str]:
    """Say why each stays, or "" for one that goes."""
    found = chosen(
        [*versions, web(99, baked_at=NOW)], References(**who), {"web": RULE}, now=NOW, share=100
    )
    why = {str(line.version): line.because for line in found.kept}
    return why | {str(line.version): "" for line in found.going}


@pytest.mark.parametrize(
    ("who", "because"),
    [
        ({"kept": {"web/1": "an audit"}}, "somebody keeps it: an audit"),
        ({"running": {"web/1": {"dev/web": 3}}}, "3 instances run it in dev/web"),
        (
            {"running": {"web/1": {"dev/web": 1, "prod/web": 1}}},
            "2 instances run it in dev/web, prod/web",
        ),
        ({"settled": {"web/1": ("dev/web",)}}, "dev/web has settled on it"),
        ({"goals": {"web/1": ("dev/web",)}}, "a rollout of dev/web has not arrived"),
        ({"back": {"web/1": ("dev/web",)}}, "a rollback of dev/web would go to it"),
        ({"left": {"web/1": ("dev/web",)}}, "dev/web was rolled back from it and is pinned"),
        ({"failed": {"web/1": ("dev/web",)}}, "it failed in dev/web, and nothing completed since"),
        ({"named": {"web/1": ("fleets.yml:7",)}}, "fleets.yml:7 names it"),
        ({"baking": {"web": "a bake of app"}}, "a bake of app is under way and may use it"),
        ({"in_use": {"web/1": "podman"}}, "something at podman uses it, and no fleet does"),
        (
            {"absent": {"web/1": "podman"}},
            "its artifact is not at the podman of this host; clean up where it is",
        ),
    ],
)
def test_whoever_needs_an_image_is_told(who: dict[str, Any], because: str) -> None:
    assert lines(web(1))["web/1"] == ""
    assert lines(web(1), **who)["web/1"] == because


def test_what_a_channel_or_the_retention_keeps_is_told() -> None:
    told = lines(web(1, channels=("old", "stable")), web(2, baked_at=NOW - timedelta(days=29)))

    assert told["web/1"] == "web@old, web@stable point at it"
    assert told["web/2"] == "younger than 30d"
    assert lines(web(1, channels=("stable",)))["web/1"] == "web@stable points at it"


def test_the_newest_that_may_launch_stays_however_old() -> None:
    found = chosen(
        [web(1), web(2), web(3, state=ImageState.REVOKED)],
        References(),
        {"web": RULE},
        now=NOW,
        share=100,
    )

    assert [(str(x.version), x.because) for x in found.kept] == [("web/2", "the newest")]
    assert [(str(x.version), x.because) for x in found.going] == [
        ("web/1", "75d old, and nothing needs it"),
        ("web/3", "revoked, 75d old, and nothing needs it"),
    ]


def test_a_family_without_retention_is_never_touched_and_keeps_what_it_was_baked_on() -> None:
    base, app = a_version(1, family="base"), web(1, family="app")
    rules = {"base": RULE}

    found = chosen(
        [replace(base, baked_at=OLD), replace(base, number=2, baked_at=OLD), app],
        References(),
        rules,
        now=NOW,
    )

    assert {str(x.version): x.because for x in found.kept} == {
        "app/1": "app has no retention in packer/images.yml",
        "base/2": "the newest",
        "base/1": "parent of app/1, which is kept",
    }


# Where the picture looks wrong.


def refused(world: list[Version], references: References, *, share: int = 50) -> OvenbirdError:
    with pytest.raises(OvenbirdError) as told:
        chosen(world, references, {"web": RULE}, now=NOW, share=share)
    return told.value


@pytest.mark.parametrize(
    ("who", "kind", "problem"),
    [
        ({"silent": {"lxd": "No answer."}}, Inconclusive, "lxd does not say what runs: No answer."),
        ({"empty": {"podman": 7}}, Inconclusive, "podman holds not one of the 7 artifacts"),
        ({"settled": {"web/7": ("dev/web",)}}, Inconclusive, "the catalog does not know it"),
        ({"running": {"web/7": {"dev/web": 1}}}, Inconclusive, "web/7 is needed"),
        ({"running": {"web/1": {"dev/web": 1}}}, Blocked, "web/1 is retired, and something needs"),
    ],
)
def test_nothing_goes_where_the_picture_looks_wrong(
    who: dict[str, Any], kind: type[OvenbirdError], problem: str
) -> None:
    world = [web(1, state=ImageState.RETIRED), web(2), web(3), web(4)]

    told = refused(world, References(**who))

    assert type(told) is kind
    assert problem in told.problem
    assert told.remedy.startswith("Nothing was deleted")


def test_no_more_than_a_share_of_a_family_goes_at_a_time() -> None:
    world = [web(n) for n in range(1, 5)]

    told = refused(world, References())
    assert told.problem == "3 of the 4 images of web would go, more than 50 %."
    assert told.evidence.splitlines() == [
        f"web/{n}  75d old, and nothing needs it" for n in (1, 2, 3)
    ]
    many = refused([web(n) for n in range(1, 16)], References())
    assert (len(many.evidence.splitlines()), many.evidence[-1]) == (11, "…")
    assert told.exit_code == 3
    half = chosen(world, References(), {"web": RULE}, now=NOW, at_most=2)
    assert [str(line.version) for line in half.going] == ["web/1", "web/2"]
    assert [str(line.version) for line in half.waiting] == ["web/3"]
    assert len(chosen(world, References(), {"web": RULE}, now=NOW, share=75).going) == 3


def test_an_age_is_told_in_days_or_hours() -> None:
    assert needs.span(timedelta(days=30)) == "30d"
    assert needs.span(timedelta(hours=12)) == "12h"
