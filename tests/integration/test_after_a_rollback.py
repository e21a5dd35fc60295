"""After a rollback the image that was left comes back by no verb, until somebody says so.

podman's event log, read from outside, tells what was ever launched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from tests.live import LiveFleet


def test_after_a_rollback_no_verb_launches_the_bad_image(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1, env="staging")
    fleet.rollout()
    fleet.rollout("--image", second_image)
    fleet.command("rollback", "--yes", "--because", "its page was wrong")
    since = datetime.now(UTC)
    run = fleet.project.run

    named = fleet.rollout("--image", second_image, code=3)
    run("image.promote", second_image, "candidate")
    fleet.declare(image="web@candidate")
    moved = fleet.rollout(code=3)
    whole = run("rollout.all", "--env", "staging", "--yes", code=3)
    urgent = fleet.rollout("--emergency", "--because", "it must", code=3)
    fleet.project.podman("rm", "--force", "--time=0", next(iter(fleet.containers())))
    run("tend", "--env", "staging", "--resume")
    fleet.declare(image="web@stable", size=2)
    run("rollout.all", "--env", "staging", "--yes")

    refusals = [done.stderr for done in (named, moved, whole, urgent)]
    assert all("its page was wrong" in told for told in refusals), refusals
    made = fleet.created(since=since)
    assert list(made.values()) == ["web/1", "web/1"], made
    assert fleet.serving() == ["web/1"] * 2
    assert fleet.status()["pinned"] == [second_image]


def test_a_fleet_that_goes_back_by_itself_is_pinned_against_what_failed(
    new_fleet: Callable[..., LiveFleet],
    ill_image: str,
    record_property: Callable[[str, object], None],
) -> None:
    fleet = new_fleet(size=2)
    fleet.declare(surge=2, rollout={"on_failure": "rollback"})
    fleet.rollout()
    good = set(fleet.containers())
    since = datetime.now(UTC)

    with fleet.sampler() as sampler:
        begun = time.monotonic()
        failed = fleet.rollout("--image", ill_image, code=1)
        took = time.monotonic() - begun
    again = fleet.rollout("--image", ill_image, "--retry", code=3)

    record_property("seconds to fail and go back", round(took, 1))
    assert "It was rolled back to web/1" in failed.stderr
    assert "fleet.unpin" in failed.stderr
    assert f"was rolled back from {ill_image}" in again.stderr
    assert set(fleet.containers()) == good
    assert list(fleet.created(since=since).values()) == [ill_image]
    assert fleet.status()["pinned"] == [ill_image]
    assert sampler.lowest() >= 2
