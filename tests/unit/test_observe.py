"""What is seen, and what is only not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, a_seen, an_entry, looks

from ovenbird.fleet.observe import observe
from ovenbird.values.fleet import HealthCheck
from ovenbird.values.instance import (
    EngineState,
    Entry,
    EntryState,
    Expected,
    Health,
    Instance,
    Seen,
)

HEALTH = HealthCheck(healthy_deadline=300, lost_after=60)
SERVICE = EntryState.IN_SERVICE


def observed(
    *seen: Seen,
    verdicts: Mapping[int, str] | None = None,
    balancers: Sequence[Mapping[int, EntryState]] = (),
    accepted: Sequence[int] = (),
    accepted_ago: float = 3000,
    condemned: Mapping[int, str] | None = None,
    kept: Sequence[int] = (),
    expected: Sequence[Expected] = (),
    moved: Sequence[int] = (),
) -> list[Instance]:
    """Observe instances by number: ``verdicts={1: "PPF"}`` are looks a second apart until now.

    Those that ``moved`` are listed where they were before.
    """
    entries: list[dict[str, Entry]] = [
        {an_entry(n).token: an_entry(n, state) for n, state in at.items()} for at in balancers
    ]
    for entry in [at[token] for at in entries for token in at if token in names(moved)]:
        entries[0][entry.token] = replace(entry, address="127.0.0.1:9")
    at = NOW - timedelta(seconds=accepted_ago)
    found = observe(
        seen,
        {a_seen(n).token: looks(n, text) for n, text in (verdicts or {}).items()},
        entries,
        {a_seen(n).token: at for n in accepted},
        health=HEALTH,
        now=NOW,
        condemned={a_seen(n).token: why for n, why in (condemned or {}).items()},
        kept=names(kept),
        expected=expected,
    )
    return list(found)


def names(numbers: Sequence[int]) -> list[str]:
    return [a_seen(n).token for n in numbers]


def healths(*seen: Seen, **world: object) -> list[Health]:
    return [i.health for i in observed(*seen, **world)]  # type: ignore[arg-type]


def test_accepted_running_passing_and_in_service_everywhere_is_serving() -> None:
    (one,) = observed(
        a_seen(1),
        verdicts={1: "PP"},
        accepted=[1],
        balancers=[{1: SERVICE}, {1: SERVICE}],
    )

    assert (one.health, one.because) == (Health.SERVING, "in service")
    assert (one.accepted, one.registered, one.ready, one.leaving) == (True, True, True, False)


def test_without_a_balancer_an_accepted_one_that_passes_serves() -> None:
    (one,) = observed(a_seen(1), verdicts={1: "P"}, accepted=[1])

    assert one.is_serving
    assert one.registered


@pytest.mark.parametrize(
    ("balancers", "registered", "leaving", "because"),
    [
        ([{1: SERVICE}, {}], False, False, "accepted, not listed at a balancer"),
        ([{1: EntryState.UNCHECKED}], True, False, "accepted, unchecked at a balancer"),
        ([{1: EntryState.DRAINING}], False, True, "accepted, draining at a balancer"),
        ([{1: EntryState.DOWN}], True, False, "accepted, down at a balancer"),
    ],
)
def test_one_that_is_not_in_service_everywhere_is_pending(
    balancers: Sequence[Mapping[int, EntryState]], registered: bool, leaving: bool, because: str
) -> None:
    (one,) = observed(a_seen(1), verdicts={1: "PP"}, accepted=[1], balancers=balancers)

    assert (one.health, one.because) == (Health.PENDING, because)
    assert (one.registered, one.leaving, one.ready) == (registered, leaving, True)


def test_one_that_a_balancer_finds_down_for_long_while_it_has_others_in_service_is_ill() -> None:
    world = [{1: EntryState.DOWN, 2: SERVICE}]
    both = {1: "PP", 2: "PP"}

    late = healths(a_seen(1), a_seen(2), verdicts=both, accepted=[1, 2], balancers=world)
    soon = healths(
        a_seen(1), a_seen(2), verdicts=both, accepted=[1, 2], balancers=world, accepted_ago=9
    )

    assert late == [Health.FAILED, Health.SERVING]
    assert soon == [Health.PENDING, Health.SERVING]


def test_passing_alone_is_not_serving() -> None:
    (one,) = observed(a_seen(1, age=5), verdicts={1: "PPPP"}, balancers=[{1: SERVICE}])

    assert (one.health, one.ready) == (Health.PENDING, False)


def test_one_that_ended_by_itself_is_failed_and_says_its_exit_code() -> None:
    (one,) = observed(a_seen(1, EngineState.EXITED, exit_code=137), accepted=[1])

    assert (one.health, one.because) == (Health.FAILED, "ended by itself with exit code 137")


def test_two_failed_answers_in_a_row_make_an_accepted_one_ill() -> None:
    (one,) = observed(a_seen(1), verdicts={1: "PPFF"}, accepted=[1])

    assert one.health is Health.FAILED
    assert one.because == "two failed looks in a row, the last: answered 500"


@pytest.mark.parametrize("verdicts", ["PPF", "PFPF", "F"])
def test_one_failed_answer_is_not_yet_ill_and_does_not_serve(verdicts: str) -> None:
    (one,) = observed(a_seen(1), verdicts={1: verdicts}, accepted=[1])

    assert (one.health, one.ready) == (Health.PENDING, False)


def test_a_look_without_an_answer_between_two_failures_excuses_nothing() -> None:
    assert healths(a_seen(1), verdicts={1: "PF-F"}, accepted=[1]) == [Health.FAILED]


def test_failures_while_it_boots_are_not_held_against_it() -> None:
    assert healths(a_seen(1, age=299), verdicts={1: "FFFFF"}) == [Health.PENDING]


def test_one_that_answers_badly_past_its_deadline_is_failed() -> None:
    (one,) = observed(a_seen(1, age=301), verdicts={1: "FFFFF"})

    assert (one.health, one.because) == (Health.FAILED, "not healthy within 300 s: answered 500")


def test_one_that_never_answers_fails_past_its_deadline_while_another_answers() -> None:
    fleet = (a_seen(1), a_seen(2, age=301))

    assert healths(*fleet, verdicts={1: "PP", 2: "--"}, accepted=[1]) == [
        Health.SERVING,
        Health.FAILED,
    ]
    assert healths(*fleet, verdicts={1: "PF", 2: "--"}, accepted=[1])[1] is Health.FAILED


def test_one_that_never_answers_is_unknown_while_no_other_answers_either() -> None:
    fleet = (a_seen(1), a_seen(2, age=301))

    assert healths(*fleet, verdicts={1: "P--", 2: "--"}, accepted=[1]) == [
        Health.UNKNOWN,
        Health.UNKNOWN,
    ]


def test_one_that_never_answers_fails_past_its_deadline_where_it_is_the_only_one() -> None:
    assert healths(a_seen(1, age=301), verdicts={1: "--"}) == [Health.FAILED]
    assert healths(a_seen(1, age=299), verdicts={1: "--"}) == [Health.PENDING]


def test_an_accepted_one_that_falls_silent_alone_is_unknown() -> None:
    (one,) = observed(a_seen(1), verdicts={1: "PP--"}, accepted=[1])

    assert one.health is Health.UNKNOWN
    assert one.because == "no answer, and nothing else of the fleet answers"


def test_an_accepted_one_that_falls_silent_beside_others_has_its_deadline_from_its_last_pass() -> (
    None
):
    fleet, silent = (a_seen(1), a_seen(2)), "P" + "-" * 299

    assert healths(*fleet, verdicts={1: "P", 2: silent}, accepted=[1, 2])[1] is Health.PENDING
    assert healths(*fleet, verdicts={1: "P", 2: silent + "--"}, accepted=[1, 2])[1] is Health.FAILED


def test_nobody_is_ill_because_nobody_looked() -> None:
    assert healths(a_seen(1), accepted=[1]) == [Health.UNKNOWN]
    assert healths(a_seen(1, age=5)) == [Health.PENDING]
    assert healths(a_seen(1, age=301)) == [Health.UNKNOWN]


def test_a_lost_one_is_unknown_until_its_engine_has_said_so_for_a_while() -> None:
    assert healths(a_seen(1, EngineState.LOST, since=59)) == [Health.UNKNOWN]
    assert healths(a_seen(1, EngineState.LOST, since=60)) == [Health.LOST]


def test_one_of_which_nobody_knows_since_when_it_is_lost_has_just_been_lost() -> None:
    assert healths(a_seen(1, EngineState.LOST), verdicts={1: "-" * 61}) == [Health.UNKNOWN]


def test_a_created_one_is_pending_and_fails_when_it_is_never_started() -> None:
    assert healths(a_seen(1, EngineState.CREATED, age=10)) == [Health.PENDING]
    assert healths(a_seen(1, EngineState.CREATED, age=301)) == [Health.FAILED]


def test_one_that_is_being_ended_leaves_and_serves_nobody() -> None:
    (one,) = observed(
        a_seen(1, EngineState.DYING, since=5),
        verdicts={1: "PP"},
        accepted=[1],
        balancers=[{1: SERVICE}],
    )

    assert (one.health, one.dying, one.leaving, one.ready) == (Health.PENDING, True, True, False)


def test_an_end_that_hangs_is_there_to_be_ended_again() -> None:
    (one,) = observed(a_seen(1, EngineState.DYING, since=75))

    assert (one.health, one.dying, one.leaving) == (Health.FAILED, False, True)
    assert one.because == "ending for 75 s and not gone"


def test_an_exited_one_is_no_control() -> None:
    fleet = (a_seen(1, EngineState.EXITED), a_seen(2, age=20))

    assert healths(*fleet, verdicts={1: "F", 2: "--"}, accepted=[2])[1] is Health.UNKNOWN


numbers = st.lists(
    st.tuples(st.sampled_from(EngineState), st.text("PF-", max_size=4), st.booleans()), max_size=6
)


@given(numbers)
def test_cut_probes_never_make_an_accepted_running_one_ill(
    world: list[tuple[EngineState, str, bool]],
) -> None:
    fleet = [a_seen(n, state) for n, (state, _, _) in enumerate(world, start=1)]
    cut = {n: text + "-" for n, (_, text, _) in enumerate(world, start=1)}
    accepted = [n for n, (_, _, yes) in enumerate(world, start=1) if yes]

    for one, seen in zip(observed(*fleet, verdicts=cut, accepted=accepted), fleet, strict=True):
        assert not one.is_serving
        if seen.state is EngineState.RUNNING and one.accepted:
            assert one.health is Health.UNKNOWN


@given(numbers)
def test_everything_that_is_reported_is_observed_once_with_a_reason(
    world: list[tuple[EngineState, str, bool]],
) -> None:
    fleet = [a_seen(n, state) for n, (state, _, _) in enumerate(world, start=1)]
    texts = {n: text for n, (_, text, _) in enumerate(world, start=1)}

    found = observed(*fleet, verdicts=texts)

    assert sorted(i.token for i in found) == [s.token for s in fleet]
    assert all(i.because for i in found)
