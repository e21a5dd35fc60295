"""Who may change a fleet now, and who has to wait."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import insert, select, update
from tests.builders import KEY

from ovenbird.mishap import Kind, Mishap, Mishaps, Verb
from ovenbird.rollout import lease as lease_module
from ovenbird.rollout.lease import LIFE, Lease, Leases
from ovenbird.state.database import Database
from ovenbird.state.faulty import FaultyDatabase
from ovenbird.state.history import deeds
from ovenbird.state.lock import lock_of
from ovenbird.state.tables import leases as table
from ovenbird.values.errors import Blocked, Busy, Superseded
from ovenbird.values.fleet import FleetKey

SHOP = FleetKey(site=KEY.site, env=KEY.env, name="shop")
STAGING = FleetKey(site=KEY.site, env="staging", name="web")


@pytest.fixture
def leases(database: Database, tmp_path: Path) -> Leases:
    return on_host(database, tmp_path, "here")


def on_host(database: Database, tmp_path: Path, host: str, key: FleetKey = KEY) -> Leases:
    """Return the lease of a fleet as a driver on another host, or on the same one, sees it."""
    folder = tmp_path / host
    folder.mkdir(exist_ok=True)
    return Leases(database, key, folder=folder, by=f"ann@{host}")


def killed(database: Database, *, silent: float, lock: FileLock | None, by: str) -> None:
    """Leave the lease behind as a killed driver does; its lock, where there is one, is free."""
    with database.begin() as db:
        since = database.now(db) - timedelta(seconds=silent)
        row = {"name": "fleet/dev/web", "holder": by, "host": "", "because": "rollout", "fence": 7}
        db.execute(insert(table).values(**row, taken_at=since, heartbeat_at=since))
    if lock is not None:
        lock.acquire()
        lock.release()


def silence(database: Database, seconds: float) -> None:
    """Let the last heartbeat of every lease be that long ago."""
    with database.begin() as db:
        then = database.now(db) - timedelta(seconds=seconds)
        db.execute(update(table).values(heartbeat_at=then, taken_at=then))


def require(lease: Lease) -> None:
    lease.renew_or_raise()


def test_a_second_rollout_is_refused_with_the_owners_name_and_age(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    other = on_host(database, tmp_path, "there")
    with leases.taken("rollout"):
        silence(database, 12.0)
        with pytest.raises(Busy, match=r"a rollout by ann@here, for 12 s") as refused:
            other._take("rollout", None)

    assert refused.value.exit_code == 3
    assert deeds(database) == []


def test_a_lease_that_was_given_back_is_free_and_its_next_number_is_higher(
    leases: Leases,
) -> None:
    with leases.taken("rollout") as first:
        holder = leases.holder()
        assert holder is not None
        assert (holder.by, holder.kind, holder.fence) == ("ann@here", "rollout", first.fence)
    assert leases.holder() is None
    with leases.taken("rollout") as second:
        assert second.fence == first.fence + 1
        assert second.previous is None


def test_a_lease_is_given_back_by_whoever_fails(leases: Leases) -> None:
    with pytest.raises(ZeroDivisionError), leases.taken("rollout"):
        raise ZeroDivisionError

    assert leases.holder() is None


def test_a_dead_holder_on_this_host_is_replaced_at_once_and_the_history_says_so(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    lock = lock_of(tmp_path / "here", "fleet-dev-web-7")
    killed(database, silent=1.0, lock=lock, by="bob@here")

    with leases.taken("rollout") as lease:
        assert lease.fence == 8
        assert lease.previous is not None
        assert lease.previous.by == "bob@here"
        assert not lease.elsewhere

    (deed,) = deeds(database)
    assert (deed.verb, deed.by, deed.env, deed.subject) == ("take over", "ann@here", "dev", "web")
    assert deed.because.startswith("its driver is dead: a rollout by bob@here")


def test_a_silent_holder_on_another_host_is_given_time(leases: Leases, database: Database) -> None:
    killed(database, silent=LIFE - 5, lock=None, by="bob@there")

    with pytest.raises(Busy, match="bob@there, for 10 s, last heard of 10 s ago"):
        leases._take("rollout", None)


def test_a_holder_on_another_host_is_dead_after_its_life_and_the_history_says_so(
    leases: Leases, database: Database
) -> None:
    killed(database, silent=LIFE + 1, lock=None, by="bob@there")

    with leases.taken("rollout") as lease:
        assert lease.elsewhere

    (deed,) = deeds(database)
    assert deed.verb == "take over"
    assert "its driver is dead: a rollout by bob@there" in deed.because


def test_a_holder_that_lives_and_cannot_beat_is_replaced_after_its_life(
    leases: Leases, database: Database
) -> None:
    """A driver under SIGSTOP keeps its lock, and finds out at its next intent."""
    with leases.taken("rollout") as stopped:
        silence(database, LIFE + 1)
        with leases.taken("rollout"):
            with pytest.raises(Superseded):
                require(stopped)
            assert not stopped.renew()


def test_a_rollback_takes_the_lease_from_a_living_rollout(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    with leases.taken("rollout") as rollout:
        require(rollout)
        with on_host(database, tmp_path, "there").taken("rollback") as rollback:
            with pytest.raises(Superseded, match="a rollback by ann@there") as told:
                require(rollout)
            rollout.release()
            require(rollback)

    assert told.value.exit_code == 3
    (deed,) = deeds(database)
    assert deed.because.startswith("a rollback does not wait for a rollout: a rollout by ann@here")


@pytest.mark.parametrize(
    ("holds", "asks", "gets"),
    [
        ("repair", "repair", False),
        ("repair", "rollout", True),
        ("repair", "rollback", True),
        ("rollout", "repair", False),
        ("rollout", "rollout", False),
        ("rollout", "rollback", True),
        ("rollback", "repair", False),
        ("rollback", "rollout", False),
        ("rollback", "rollback", False),
    ],
)
def test_only_a_higher_rank_takes_a_lease_from_the_living(
    holds: str, asks: str, gets: bool, leases: Leases
) -> None:
    with leases.taken(holds) as first:
        try:
            with leases.taken(asks):
                taken = True
        except Busy:
            taken = False
        assert first.renew() is not gets
    assert taken is gets


def test_of_many_who_ask_at_once_one_gets_it(database: Database, tmp_path: Path) -> None:
    start, done = threading.Barrier(8), threading.Event()
    got: list[str] = []
    told: list[str] = []

    def ask(host: str) -> None:
        leases = on_host(database, tmp_path, host)
        start.wait()
        try:
            with leases.taken("rollout"):
                got.append(host)
                done.wait(30)
        except Busy as busy:
            told.append(busy.problem)
            if len(told) == 7:
                done.set()

    threads = [threading.Thread(target=ask, args=(f"host-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(got) == 1
    assert len(told) == 7
    assert all(f"ann@{got[0]}" in sentence for sentence in told)


def test_a_holder_is_heard_of_again_and_again(
    leases: Leases, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "BEAT", 0.02)
    with leases.taken("rollout"):
        silence(database, 60.0)
        deadline = time.monotonic() + 20
        while (holder := leases.holder()) and holder.silence > timedelta(seconds=30):
            assert time.monotonic() < deadline, "it has not been heard of again"
            time.sleep(0.02)


def test_a_lease_that_could_not_be_given_back_counts_as_dead_at_once(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Lease) -> None:
        raise Blocked("The database is full.", remedy="Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "release", full)
        with pytest.raises(Blocked, match="full"), leases.taken("rollout"):
            pass
    with leases.taken("rollout") as lease:
        assert lease.previous is not None


def test_a_lease_that_could_not_be_written_is_nobodys(
    database: Database, leases: Leases, tmp_path: Path
) -> None:
    """The one who failed lives on, as tend does, and must not keep the lock of the next."""
    full = Mishaps(Mishap(verb=Verb.WRITE, kind=Kind.FAIL, table="leases", times=None))
    unlucky = on_host(FaultyDatabase(database, full), tmp_path, "here")

    with pytest.raises(Blocked, match="full") as told:
        unlucky._take("rollout", None)

    with leases.taken("rollout") as lease:
        assert lease.previous is None
    assert not isinstance(told.value, Busy)


def test_the_locks_of_former_holders_are_cleared_away(leases: Leases, tmp_path: Path) -> None:
    other = lock_of(tmp_path / "here", "fleet-dev-web-2-1")  # the first of a fleet ``web-2``
    other.acquire()
    other.release()
    for _ in range(3):
        with leases.taken("rollout"):
            pass

    names = {path.name for path in (tmp_path / "here" / "locks").iterdir()}
    assert names == {"fleet-dev-web-3.lock", "fleet-dev-web-2-1.lock"}


def test_no_more_fleets_roll_at_once_than_the_budget_allows(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    with on_host(database, tmp_path, "here", SHOP).taken("rollout"):
        with pytest.raises(Blocked, match=r"dev/shop is being rolled.*allows 1 fleets") as told:
            leases._take("rollout", 1)
        assert told.value.exit_code == 3
        assert not isinstance(told.value, Busy), "--wait does not wait for a budget"
        with leases.taken("rollout", at_once=2):
            pass


def test_a_rollback_and_a_repair_wait_for_no_budget(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    with on_host(database, tmp_path, "here", SHOP).taken("rollout"):
        for kind in ("rollback", "repair"):
            with leases.taken(kind, at_once=1):
                pass


def test_the_budget_counts_neither_repairs_nor_the_dead_nor_other_environments(
    leases: Leases, database: Database, tmp_path: Path
) -> None:
    for key, kind in ((SHOP, "repair"), (STAGING, "rollout")):
        other = on_host(database, tmp_path, "here", key)
        with other.taken(kind), leases.taken("rollout", at_once=1):
            pass
    with on_host(database, tmp_path, "there", SHOP).taken("rollout"):
        silence(database, LIFE + 1)
        with leases.taken("rollout", at_once=1):
            pass


def test_a_read_of_the_lease_takes_nothing(leases: Leases, database: Database) -> None:
    assert leases.holder() is None
    with database.begin() as db:
        assert db.execute(select(table)).first() is None
