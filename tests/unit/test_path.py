"""How far an image may go, and that nothing gets anywhere without its evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW

from ovenbird.patch.path import (
    Arrived,
    Line,
    Place,
    Promote,
    Roll,
    Stop,
    Wait,
    after,
    next_move,
    on_its_way,
)

DAY = timedelta(days=1)


def settled(number: int | None, *, ago: timedelta = timedelta(0), **more: object) -> Place:
    return Place(name="web", settled=number, settled_at=NOW - ago, **more)  # type: ignore[arg-type]


def stop(env: str, channel: int | None, place: Place | None = None, **more: object) -> Stop:
    places = (place if place is not None else settled(channel),)
    return Stop(env=env, channel=channel, places=places, **more)  # type: ignore[arg-type]


def line(*stops: Stop, candidate: int | None = None, **more: object) -> Line:
    return Line(family="web", stops=stops, candidate=candidate, **more)  # type: ignore[arg-type]


def test_a_proven_image_begins_in_the_first_environment_and_is_rolled_out_there() -> None:
    begun = line(stop("dev", 1), stop("staging", 1), candidate=2)

    move = next_move(begun, NOW)
    assert isinstance(move, Promote)
    assert (move.number, move.env) == (2, "dev")
    rolled = next_move(after(begun, move, NOW), NOW)
    assert isinstance(rolled, Roll)
    assert (rolled.number, rolled.env, rolled.fleet) == (2, "dev", "web")


def test_a_soak_is_computed_from_when_the_last_fleet_settled() -> None:
    places = (settled(2, ago=3 * DAY), replace(settled(2, ago=DAY), name="api"))
    dev = Stop(env="dev", channel=2, places=places)

    early = next_move(line(dev, stop("staging", 1, soak=2 * DAY)), NOW)
    assert early == Wait(because="web/2 soaks in dev for 86400 s more")
    late = next_move(line(dev, stop("staging", 1, soak=DAY)), NOW)
    assert late == Promote(number=2, env="staging", because="it soaked in dev")


def test_an_environment_that_asks_for_approval_waits_for_that_very_version() -> None:
    dev = stop("dev", 2)
    asks = stop("production", 1, approval=True, approved=frozenset({1}))

    waits = next_move(line(dev, asks), NOW)
    assert isinstance(waits, Wait)
    assert "invoke image.approve web/2 --to production" in waits.because
    approved = replace(asks, approved=frozenset({2}))
    assert isinstance(next_move(line(dev, approved), NOW), Promote)


def test_one_that_failed_in_a_fleet_goes_no_further_and_says_so() -> None:
    dev = stop("dev", 2, settled(1, refused=frozenset({2})))
    stuck = line(dev, stop("staging", 1), candidate=2)

    assert next_move(stuck, NOW) == Wait(
        because="web/2 in dev/web failed, or was rolled back", stuck=True
    )
    assert on_its_way(stuck) is None, "a successor may be baked"
    assert isinstance(next_move(replace(stuck, candidate=3), NOW), Promote)


def test_a_closed_window_and_a_pause_are_waited_for() -> None:
    dev = stop("dev", 2, settled(1, held="it is Monday"))

    assert next_move(line(dev), NOW) == Wait(because="web/2 in dev/web: it is Monday")


def test_a_later_stage_follows_when_the_one_before_has_soaked() -> None:
    first = Place(name="a", stage=0, soak=DAY, settled=2, settled_at=NOW - DAY / 2)
    second = Place(name="b", stage=1, settled=1, settled_at=NOW - 9 * DAY)
    dev = Stop(env="dev", channel=2, places=(second, first))

    waits = next_move(line(dev), NOW)
    assert isinstance(waits, Wait)
    assert "when the stage before it has soaked" in waits.because
    assert next_move(line(dev), NOW + DAY) == Roll(
        number=2, env="dev", fleet="b", because="dev's channel is web/2"
    )


def test_what_is_nearly_there_goes_on_before_something_newer_begins() -> None:
    stops = (stop("dev", 1), stop("staging", 2), stop("production", 1))

    move = next_move(line(*stops, candidate=3), NOW)

    assert isinstance(move, Promote)
    assert (move.number, move.env) == (2, "production")


def test_a_nightly_version_never_takes_the_place_of_one_that_soaks_unless_it_is_worth_more() -> (
    None
):
    stops = (
        stop("dev", 3, settled(3, ago=9 * DAY)),
        stop("staging", 2, settled(2, ago=DAY)),
        stop("production", 1, soak=7 * DAY),
    )

    held = next_move(line(*stops, severity={2: 0, 3: 0}), NOW)
    assert isinstance(held, Wait)
    assert next_move(line(*stops, severity={2: 0, 3: 1}), NOW) == Promote(
        number=3, env="staging", because="web/3 serves in dev"
    )


def test_a_revoked_image_on_a_channel_is_rolled_out_nowhere() -> None:
    dead = line(stop("dev", 2, settled(1)), dead=frozenset({2}))

    move = next_move(dead, NOW)

    assert isinstance(move, Wait)
    assert move.stuck
    assert "may not launch" in move.because


def test_where_all_is_done_it_says_where() -> None:
    assert next_move(line(stop("dev", 2), stop("staging", 2), candidate=2), NOW) == Arrived(
        because="web/2 is everywhere"
    )
    assert isinstance(next_move(Line(family="base", stops=()), NOW), Wait)


NUMBERS = st.none() | st.integers(1, 4)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    stops = []
    for env in ("dev", "staging", "production"):
        places = tuple(
            Place(
                name=name,
                stage=draw(st.integers(0, 1)),
                settled=draw(NUMBERS),
                settled_at=NOW - draw(st.integers(0, 5)) * DAY,
                refused=draw(st.frozensets(st.integers(1, 4), max_size=2)),
            )
            for name in draw(st.sampled_from([("web",), ("web", "api"), ()]))
        )
        stops.append(
            Stop(
                env=env,
                channel=draw(NUMBERS),
                assigned_at=NOW - draw(st.integers(0, 5)) * DAY,
                places=places,
                soak=draw(st.integers(0, 3)) * DAY if env != "dev" else timedelta(0),
                approval=env == "production" and draw(st.booleans()),
                approved=draw(st.frozensets(st.integers(1, 4))),
            )
        )
    return Line(
        family="web",
        stops=tuple(stops),
        candidate=draw(NUMBERS),
        dead=draw(st.frozensets(st.integers(1, 4), max_size=1)),
    )


@given(lines())
def test_every_way_ends_and_no_move_lacks_its_evidence(start: Line) -> None:
    now, at = start, 0
    while isinstance(move := next_move(now, NOW), Promote | Roll):
        stops = {each.env: each for each in now.stops}
        here = stops[move.env]
        if isinstance(move, Roll):
            place = next(p for p in here.places if p.name == move.fleet)
            assert here.channel == move.number, "a fleet gets what its channel names"
            assert move.number not in place.refused
            assert move.number not in now.dead
        else:
            assert move.number > (here.channel or 0), "no channel goes back by itself"
            index = now.stops.index(here)
            if index:
                before = now.stops[index - 1]
                assert before.channel == move.number
                for place in before.places:
                    assert place.settled == move.number
                    assert place.settled_at is not None
                    assert NOW - place.settled_at >= here.soak
                assert not here.approval or move.number in here.approved
            else:
                assert move.number == now.candidate
        now = after(now, move, NOW)
        at += 1
        assert at <= 24, "it ends"
