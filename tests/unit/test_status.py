"""How a fleet is told: every instance, and all that somebody between rollouts asks of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.builders import KEY, NOW, a_fleet, a_goal, a_seen, a_version, an_instance

from ovenbird.console import Console
from ovenbird.report.left import Left
from ovenbird.report.rows import Asked, Images, Row, findings, others
from ovenbird.report.status import Status
from ovenbird.rollout.book import Standing
from ovenbird.rollout.records import Record
from ovenbird.tasks.documents import status_document
from ovenbird.tasks.show import show_status
from ovenbird.values.fleet import FleetKey
from ovenbird.values.image import ImageState, Version
from ovenbird.values.instance import EngineState, Goal, Health

DAY = timedelta(days=1)
TRANSCRIPT = Path(__file__).parents[1] / "golden" / "status" / "everything.txt"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell times in UTC, wherever this runs."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def a_record(n: int, **facts: object) -> Record:
    about: dict[str, object] = {
        "token": f"web-{n:03}",
        "version": "web/1",
        "launch_hash": "none",
        "slot": n,
        "rollout_id": "r",
        "ordered_at": NOW - DAY,
        "called": True,
        "place": "memory",
    }
    return Record(**(about | facts))  # type: ignore[arg-type]


def catalog() -> list[Version]:
    """web/1 to web/4: the first revoked and old, the third failed."""
    states = [ImageState.REVOKED, ImageState.ACTIVE, ImageState.FAILED, ImageState.ACTIVE]
    return [
        replace(
            a_version(number, state=state),
            packages_at=NOW - (50 - 10 * number) * DAY,
            state_because="CVE-2026-1" if state is ImageState.REVOKED else "",
        )
        for number, state in enumerate(states, start=1)
    ]


def everything_at_once() -> Status:
    """A fleet of five, of which the file says three, with one of each kind in it."""
    jobs = [replace(a_seen(7, EngineState.EXITED, version="web/4", exit_code=1), job="migrate")]
    stranger = a_seen(8, version="web/2")
    foreign = replace(a_seen(9), fleet=FleetKey(site="site-2", env="dev", name="web"))
    until = NOW + DAY
    return Status(
        fleet=replace(a_fleet(5), file_size=3),
        now=NOW,
        resolved="web/4",
        instances=[
            an_instance(1, "web/4", because="in service"),
            an_instance(2, "web/2", because="in service"),
            replace(
                an_instance(3, "web/4", because="in service"),
                unwanted="rebuild by ann@one: its disk is slow",
            ),
            replace(
                an_instance(4, "web/1", Health.PENDING, because="out of service", kept=True),
                quarantined=True,
                unwanted="quarantine by ann@one: an odd process",
            ),
            an_instance(5, "web/2", Health.PENDING, because="out of service", kept=True),
            an_instance(6, "web/3", Health.FAILED, because="answered 500 twice"),
        ],
        standing=Standing(
            settled=a_goal("web/4"),
            size=5,
            size_told="by ann@one: the sale",
            pins={"web/3": "5xx"},
            paused="by bob@two: lunch",
        ),
        last=None,
        site=KEY.site,
        records={
            "web-004": a_record(4, kept_until=until, quarantined_until=until),
            "web-005": a_record(5, kept_until=NOW + timedelta(hours=2)),
            "web-007": a_record(7, job="migrate"),
        },
        jobs=jobs,
        unowned=[stranger, foreign],
        images=Images(catalog()),
    )


def a_left_fleet(problem: str = "") -> Left:
    seen = replace(
        a_seen(20, version="web/2"), fleet=FleetKey(site="site-1", env="old", name="shop")
    )
    rows = others([seen], Images(catalog()), unowned="its fleet left inventories/old/fleets.yml")
    return Left(env="old", name="shop", now=NOW, rows=rows, problem=problem)


def shown(found: Sequence[Status], left: Sequence[Left] = ()) -> str:
    out = io.StringIO()
    show_status(Console(out=out, err=out), found, left)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def test_a_fleet_with_everything_at_once_reads_like_this() -> None:
    assert shown([everything_at_once()], [a_left_fleet()]) == TRANSCRIPT.read_text()


def test_the_same_is_in_the_document() -> None:
    told = status_document(everything_at_once())

    one = {i["id"]: i for i in told["instances"]}  # type: ignore[attr-defined]
    assert (told["size"], told["file_size"]) == (5, 3)
    assert (one["web-002"]["behind"], one["web-001"]["behind"]) == (1, 0)
    assert one["web-003"]["unwanted"] == "rebuild by ann@one: its disk is slow"
    assert one["web-004"]["quarantined_until"] == (NOW + DAY).isoformat()
    assert one["web-004"]["image_state"] == "revoked"
    assert (one["web-007"]["job"], one["web-007"]["health"]) == ("migrate", "job exited")
    strangers = told["unowned"]
    assert [each["id"] for each in strangers] == ["web-008", "web-009"]  # type: ignore[attr-defined]


def test_an_age_is_told_where_no_image_is_known() -> None:
    status = replace(everything_at_once(), images=Images(()))

    assert all(row.behind is None and row.image is None for row in status.rows)
    assert "  ?  " in shown([status])


def found_in(status: Status, asked: Asked) -> list[str]:
    return [told.split(": ", 1)[1] for told in findings(status.rows, asked, status.now)]


def alone(n: int, version: str, *, kept: bool = False) -> Status:
    health = Health.PENDING if kept else Health.SERVING
    return replace(
        everything_at_once(),
        instances=[an_instance(n, version, health, kept=kept, in_service=not kept)],
        jobs=(),
        unowned=(),
    )


def test_a_check_finds_what_is_unowned_and_says_who_may_end_it() -> None:
    found = found_in(everything_at_once(), Asked())

    assert found == [
        "web-008 is unowned: this site has no record of it; restore a newer backup of the "
        "database, or end it with its engine's own tool",
        "web-009 is unowned: it belongs to the site site-2; end it with that site's OVENBIRD_STATE",
    ]


def test_a_check_finds_a_revoked_image_in_use_and_not_one_that_is_kept() -> None:
    assert found_in(alone(1, "web/1"), Asked()) == [
        "web-001 runs web/1, which is revoked: CVE-2026-1"
    ]
    assert found_in(alone(1, "web/1", kept=True), Asked()) == []


def test_old_is_the_age_of_the_packages_and_not_of_the_instance() -> None:
    asked = Asked(max_age=25 * DAY)

    assert found_in(alone(1, "web/4"), asked) == []
    assert found_in(alone(1, "web/2"), asked) == [
        "web-001 runs web/2, whose packages are 30 days old (25 allowed)"
    ]
    assert found_in(alone(1, "web/2"), Asked(max_age=30 * DAY)) == []


def test_an_image_of_unknown_age_is_found_where_age_is_asked_for() -> None:
    assert found_in(alone(1, "web/9"), Asked(max_age=DAY)) == [
        "web-001 runs web/9, whose age is not known: it is not in the catalog"
    ]
    assert found_in(alone(1, "web/9"), Asked()) == []


def test_behind_counts_only_what_may_launch() -> None:
    assert found_in(alone(1, "web/2"), Asked(max_behind=0)) == [
        "web-001 runs web/2, and 1 newer image is there (0 allowed)"
    ]
    assert found_in(alone(1, "web/2"), Asked(max_behind=1)) == []


def test_a_fleet_that_left_its_file_says_how_it_is_ended_and_what_could_not_be_asked() -> None:
    left = a_left_fleet("podman says nothing.")

    assert left.sentence == (
        "1 unowned, since the fleet is not in inventories/old/fleets.yml any more; "
        "invoke fleet.remove shop --env old ends them. podman says nothing."
    )


def test_a_fleet_that_is_being_removed_says_how_that_is_finished() -> None:
    at: datetime = NOW - timedelta(hours=1)
    status = replace(alone(1, "web/4"), standing=Standing(removed_at=at))

    assert (
        "being removed since 2026-11-22 00:00; invoke fleet.remove web --env dev finishes it"
        in status.remarks
    )


def test_an_unwanted_one_is_not_on_the_goal() -> None:
    goal = Goal(version="web/4", launch_hash="none")
    unwanted = replace(an_instance(1, "web/4"), unwanted="rebuild by ann@one: its disk is slow")
    status = replace(alone(1, "web/4"), instances=[unwanted], standing=Standing(settled=goal))

    assert status.sentence == "1 of 5 serving, 1 not on web/4"


def test_a_row_tells_of_its_end() -> None:
    row = Row(
        env="dev",
        fleet="web",
        token="web-001",
        version="web/1",
        health="serving",
        because="in service",
        launched_at=NOW,
        kept_until=NOW + DAY,
    )

    assert row.told == "in service; kept until 2026-11-23 01:00"
