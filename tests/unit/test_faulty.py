"""Ports that go wrong on demand: just as asked, on just the call that was meant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.builders import KEY, NOW, an_order

from ovenbird.balancer.faulty import FaultyBalancer
from ovenbird.mishap import Kind, Lie, Mishap, Mishaps, Verb
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.provider.memory import MemoryBalancer, MemoryProvider
from ovenbird.state.database import Database
from ovenbird.state.faulty import FaultyDatabase
from ovenbird.state.tables import fleets, served
from ovenbird.values.errors import BalancerUnreachable, Blocked, EngineUnreachable
from ovenbird.values.image import StopPolicy
from ovenbird.values.instance import EntryState


def a_world(*mishaps: Mishap) -> tuple[MemoryProvider, FaultyProvider, FaultyBalancer]:
    inner, faults = MemoryProvider(site=KEY.site), Mishaps(*mishaps)
    return (
        inner,
        FaultyProvider(inner, faults),
        FaultyBalancer(MemoryBalancer(inner, KEY), faults),
    )


def tokens(provider: MemoryProvider | FaultyProvider) -> list[str]:
    return [seen.token for seen in provider.instances(KEY)]


def test_only_the_call_that_was_meant_fails() -> None:
    inner, faulty, _ = a_world(Mishap(verb=Verb.LAUNCH, kind=Kind.FAIL, call=2))

    faulty.launch(an_order("web-001"))
    with pytest.raises(EngineUnreachable):
        faulty.launch(an_order("web-002"))
    faulty.launch(an_order("web-003"))

    assert tokens(inner) == ["web-001", "web-003"]


def test_a_failure_after_the_deed_has_done_it() -> None:
    inner, faulty, _ = a_world(Mishap(verb=Verb.LAUNCH, kind=Kind.FAIL_AFTER))

    with pytest.raises(EngineUnreachable):
        faulty.launch(an_order("web-001"))

    assert tokens(inner) == ["web-001"]


def test_twice_is_two_calls_and_one_instance() -> None:
    inner, faulty, _ = a_world(Mishap(verb=Verb.LAUNCH, kind=Kind.TWICE))

    faulty.launch(an_order("web-001"))

    assert inner.asked == [("launch", "web-001")] * 2
    assert tokens(inner) == ["web-001"]


def test_a_lying_command_says_done_and_does_nothing() -> None:
    inner, faulty, _ = a_world(
        Mishap(verb=Verb.LAUNCH, kind=Kind.LIE, call=2),
        Mishap(verb=Verb.TERMINATE, kind=Kind.LIE),
    )
    faulty.launch(an_order("web-001"))

    imagined = faulty.launch(an_order("web-002"))
    faulty.terminate("web-001", stop=StopPolicy())

    assert imagined.token == "web-002"
    assert tokens(inner) == ["web-001"]


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (Lie.OLD, ["web-001"]),
        (Lie.LESS, ["web-002"]),
        (Lie.STRANGER, ["web-001", "web-002", "web-001-stranger"]),
    ],
)
def test_a_lying_list_is_old_or_lacks_one_or_has_a_stranger(lie: Lie, told: list[str]) -> None:
    _, faulty, _ = a_world(Mishap(verb=Verb.INSTANCES, kind=Kind.LIE, call=2, lie=lie))
    faulty.launch(an_order("web-001", slot=1))
    faulty.instances(KEY)
    faulty.launch(an_order("web-002", slot=2))

    assert tokens(faulty) == told
    assert tokens(faulty) == ["web-001", "web-002"]


def test_a_call_that_hangs_never_returns_and_a_late_one_does() -> None:
    inner, faulty, _ = a_world(
        Mishap(verb=Verb.LAUNCH, kind=Kind.HANG),
        Mishap(verb=Verb.TERMINATE, kind=Kind.LATE, seconds=0.05),
    )
    hanging = threading.Thread(target=lambda: faulty.launch(an_order("web-001")), daemon=True)
    hanging.start()
    hanging.join(0.1)

    faulty.launch(an_order("web-002"))
    faulty.terminate("web-002", stop=StopPolicy())

    assert hanging.is_alive()
    assert tokens(inner) == []


def test_a_balancer_can_fail_lie_and_forget_its_answer() -> None:
    inner, _, faulty = a_world(
        Mishap(verb=Verb.REGISTER, kind=Kind.FAIL_AFTER),
        Mishap(verb=Verb.DEREGISTER, kind=Kind.LIE),
        Mishap(verb=Verb.ENTRIES, kind=Kind.LIE, call=2, lie=Lie.STRANGER),
    )
    seen = inner.launch(an_order("web-001"))

    with pytest.raises(BalancerUnreachable):
        faulty.register(seen)
    faulty.deregister("web-001")

    assert [entry.state for entry in faulty.entries()] == [EntryState.IN_SERVICE]
    assert [entry.token for entry in faulty.entries()] == ["web-001", "web-001-stranger"]


def test_for_ever_is_every_call_from_then_on() -> None:
    faults = Mishaps(Mishap(verb=Verb.DRAIN, kind=Kind.FAIL, call=2, times=None))

    assert [faults.next(Verb.DRAIN) is not None for _ in range(4)] == [False, True, True, True]
    assert faults.next(Verb.REGISTER) is None
    assert len(faults.struck) == 3


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path / 'ovenbird.db'}")
    yield opened
    opened.close()


def write(database: Database, name: str) -> None:
    with database.begin() as db:
        db.execute(insert(fleets).values(env="dev", name=name))


def written(database: Database) -> list[str]:
    with database.begin() as db:
        return list(db.execute(select(fleets.c.name)).scalars())


@pytest.mark.parametrize(
    ("kind", "left"),
    [(Kind.FAIL, []), (Kind.FAIL_AFTER, ["api"]), (Kind.HANG, [])],
)
def test_a_database_that_fails_is_blocked_and_has_written_or_not(
    database: Database, kind: Kind, left: list[str]
) -> None:
    faulty = FaultyDatabase(database, Mishaps(Mishap(verb=Verb.WRITE, kind=kind, seconds=0.01)))

    assert written(faulty) == []
    with pytest.raises(Blocked):
        write(faulty, "api")

    assert written(database) == left
    write(faulty, "web")
    assert written(database) == [*left, "web"]


def test_a_lying_database_has_forgotten_what_it_said_it_wrote(database: Database) -> None:
    lie = Mishap(verb=Verb.WRITE, kind=Kind.LIE)
    faulty = FaultyDatabase(database, Mishaps(lie))

    write(faulty, "api")
    write(faulty, "web")

    assert written(database) == ["web"]


def test_a_mishap_of_one_table_leaves_the_others_alone(database: Database) -> None:
    only = Mishap(verb=Verb.WRITE, kind=Kind.FAIL, table="served")
    faulty = FaultyDatabase(database, Mishaps(only))

    write(faulty, "web")
    with pytest.raises(Blocked), faulty.begin() as db:
        db.execute(insert(served).values(env="dev", fleet="web", version="web/1", first_at=NOW))

    assert written(database) == ["web"]
