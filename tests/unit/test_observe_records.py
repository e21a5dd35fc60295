"""What this site knows beside what is seen: condemned, kept, launched a moment ago, moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from tests.builders import NOW, a_seen
from tests.unit.test_observe import SERVICE, observed

from ovenbird.values.instance import EngineState, EntryState, Expected, Health


def test_a_condemned_one_is_failed_whatever_its_probe_and_its_balancer_say() -> None:
    (one,) = observed(
        a_seen(1),
        verdicts={1: "PPP"},
        accepted=[1],
        balancers=[{1: SERVICE}],
        condemned={1: "its smoke test said no"},
    )

    assert (one.health, one.because) == (Health.FAILED, "condemned: its smoke test said no")
    assert (one.ready, one.in_service) == (False, True)


def test_a_condemned_one_that_does_not_run_is_told_as_its_engine_tells_it() -> None:
    (one,) = observed(a_seen(1, EngineState.EXITED), condemned={1: "its smoke test said no"})

    assert one.because == "ended by itself"


def test_a_kept_one_is_told_and_its_health_is_its_own() -> None:
    one, two = observed(
        a_seen(1), a_seen(2), verdicts={1: "P", 2: "P"}, accepted=[1, 2], kept=[1], balancers=[{}]
    )

    assert (one.kept, two.kept) == (True, False)
    assert (one.health, one.ready, one.registered) == (Health.PENDING, True, False)


@pytest.mark.parametrize(
    ("balancers", "in_service"),
    [
        ([], False),
        ([{1: SERVICE}], True),
        ([{1: SERVICE}, {1: SERVICE}], True),
        ([{1: SERVICE}, {}], False),
        ([{1: SERVICE}, {1: EntryState.UNCHECKED}], False),
        ([{1: EntryState.DRAINING}], False),
    ],
)
def test_in_service_is_what_every_balancer_says_whatever_the_probe_thinks(
    balancers: Sequence[Mapping[int, EntryState]], in_service: bool
) -> None:
    (one,) = observed(a_seen(1), verdicts={1: "PFF"}, accepted=[1], balancers=balancers)

    assert one.health in (Health.FAILED, Health.UNKNOWN)
    assert one.in_service is in_service


@pytest.mark.parametrize("state", [SERVICE, EntryState.DOWN])
def test_one_that_came_back_at_another_address_is_to_be_registered_again(
    state: EntryState,
) -> None:
    (one,) = observed(
        a_seen(1), verdicts={1: "PP"}, accepted=[1], balancers=[{1: state}], moved=[1]
    )

    assert (one.health, one.because) == (
        Health.PENDING,
        "accepted, listed at a balancer as 127.0.0.1:9",
    )
    assert (one.registered, one.in_service, one.ready) == (False, False, True)


def test_what_was_launched_a_moment_ago_is_pending_until_its_engine_lists_it() -> None:
    new = Expected(
        token="web-002",
        version="web/2",
        launch_hash="none",
        slot=2,
        launched_at=NOW - timedelta(seconds=3),
    )

    one, two = observed(a_seen(1), verdicts={1: "P"}, accepted=[1], expected=[new])
    (listed,) = observed(a_seen(2, age=3), expected=[new])

    assert (one.token, two.token, two.version, two.slot) == ("web-001", "web-002", "web/2", 2)
    assert (two.health, two.because) == (
        Health.PENDING,
        "launched 3 s ago, and its engine does not list it yet",
    )
    assert (two.accepted, two.registered, two.ready, two.address) == (False, False, False, None)
    assert listed.address is not None


def test_one_whose_host_was_restarted_has_its_deadline_from_then_on() -> None:
    world = [{1: EntryState.DOWN, 2: SERVICE}]
    accepted = {"accepted": [1, 2], "accepted_ago": 3000.0}

    def again(ago: float, verdicts: str) -> tuple[Health, str]:
        fleet = (a_seen(1, since=ago), a_seen(2))
        looked = {1: verdicts, 2: "PP"}
        one, _ = observed(*fleet, verdicts=looked, balancers=world, **accepted)  # type: ignore[arg-type]
        return one.health, one.because

    assert again(5, "FF") == (
        Health.PENDING,
        "started again by its engine, not healthy yet: answered 500",
    )
    assert again(5, "PP") == (Health.PENDING, "accepted, down at a balancer")
    assert again(301, "FF")[0] is Health.FAILED
    assert again(301, "PP")[0] is Health.FAILED
    assert again(3001, "FF")[0] is Health.FAILED
