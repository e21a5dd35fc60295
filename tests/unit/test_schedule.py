"""What starts the night's run, and whether it still does."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.builders import NOW

from ovenbird.patch.runs import Run, Runs
from ovenbird.patch.schedule import Schedule, State, standing
from ovenbird.patch.timetable import Place, calendar, cron_line, github, gitlab, service, timer
from ovenbird.state.database import Database
from ovenbird.values.errors import ConfigurationError

NIGHTLY = "30 2 * * *"


def a_run(at: datetime, outcome: str = "done") -> Run:
    return Run(id=1, started_at=at, ended_at=at, by="ann", scheduled=True, outcome=outcome)


def stands(
    last: Run | None, *, now: datetime = NOW, failures: int = 0, installed: bool = True
) -> Schedule:
    return standing(
        at=NIGHTLY,
        installed_at=NOW - timedelta(days=9) if installed else None,
        last=last,
        failures=failures,
        disable_after=5,
        now=now,
    )


def test_one_that_ran_last_night_is_armed_and_says_when_it_runs_next() -> None:
    found = stands(a_run(NOW - timedelta(hours=22)))

    assert found.state is State.ARMED
    assert found.next_at == NOW.replace(hour=2, minute=30)


def test_one_that_nobody_installed_is_not_armed() -> None:
    assert stands(None, installed=False).state is State.NONE


@pytest.mark.parametrize(("late", "state"), [(1, State.ARMED), (3, State.MISSED)])
def test_a_run_that_did_not_begin_in_its_time_is_missed_after_a_grace(
    late: int, state: State
) -> None:
    due = NOW.replace(hour=2, minute=30)

    found = stands(a_run(due - timedelta(days=1)), now=due + timedelta(hours=late))

    assert found.state is state


def test_a_schedule_that_was_installed_today_owes_no_run_of_yesterday() -> None:
    fresh = standing(at=NIGHTLY, installed_at=NOW, last=None, failures=0, disable_after=5, now=NOW)
    assert fresh.state is State.ARMED


def test_failures_in_a_row_disable_it_and_one_success_arms_it_again(database: Database) -> None:
    runs = Runs(database)
    for outcome in ("done", *["failed"] * 3, "blocked", "", "failed", "failed"):
        number = runs.begin(at=NOW, by="ann", scheduled=True)
        if outcome:
            runs.end(number, at=NOW, outcome=outcome, told={"web": "the oven is cold"})

    assert runs.failures() == 5
    assert stands(a_run(NOW, "failed"), failures=5).state is State.DISABLED
    assert runs.last(1)[0].told == {"web": "the oven is cold"}
    runs.end(runs.begin(at=NOW, by="ann", scheduled=False), at=NOW, outcome="done", told={})
    assert runs.failures() == 0


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("30 2 * * *", ["*-*-* 02:30:00"]),
        ("*/20 * * * *", ["*-*-* *:00,20,40:00"]),
        ("0 3 1 * *", ["*-*-01 03:00:00"]),
        ("30 2 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00"]),
        ("30 2 * * 0,7", ["Sun *-*-* 02:30:00"]),
        ("0 0 1 1-3 6", ["*-01,02,03-01 00:00:00", "Sat *-01,02,03-* 00:00:00"]),
    ],
)
def test_a_time_of_cron_is_said_as_systemd_says_it(cron: str, said: list[str]) -> None:
    assert calendar(cron) == said


@pytest.mark.parametrize("cron", ["0 2 * JAN *", "0 0 2 * * *"])
def test_what_systemd_has_no_form_for_is_refused_with_a_way_out(cron: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        calendar(cron)
    assert "--cron" in told.value.remedy


def place(*engines: str, state: str = "/var/lib/a b", is_root: bool = True) -> Place:
    return Place(
        program=Path("/srv/infra/.venv/bin/invoke"),
        project=Path("/srv/infra"),
        state=state,
        engines=engines,
        is_root=is_root,
    )


def test_a_service_leaves_running_what_it_launched_and_is_hardened_where_its_engines_allow_it() -> (
    None
):
    hard = service(place("lxd", "qemu"))
    assert "ProtectSystem=full" in hard
    assert "NoNewPrivileges=yes" in hard
    soft = service(place("lxd", "podman"))
    assert "ProtectSystem=full" not in soft
    assert "podman's containers would inherit" in soft
    for text in (hard, soft):
        assert "KillMode=process" in text
        assert "ExecStart=/srv/infra/.venv/bin/invoke patch --yes --scheduled" in text
        assert 'Environment="OVENBIRD_STATE=/var/lib/a b"' in text
    assert "OnCalendar=*-*-* 02:30:00\nPersistent=true" in timer(NIGHTLY)


def test_a_database_with_a_password_stands_in_no_file_that_others_read() -> None:
    secret = place("lxd", state="postgresql://ovenbird:s3cr3t@db/site")

    for text in (service(secret), cron_line(secret, NIGHTLY)):
        assert "s3cr3t" not in text
        assert "/etc/ovenbird/environment" in text


def test_the_files_of_a_ci_run_the_same_job_and_never_two_at_once() -> None:
    for text in (github(NIGHTLY), gitlab(NIGHTLY)):
        assert "./bootstrap patch --yes --scheduled" in text
    assert "cancel-in-progress: false" in github(NIGHTLY)
    assert "resource_group: ovenbird-patch" in gitlab(NIGHTLY)
    assert "cd /srv/infra && OVENBIRD_STATE='/var/lib/a b'" in cron_line(place("lxd"), NIGHTLY)
