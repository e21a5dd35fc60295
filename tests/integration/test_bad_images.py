"""Images that are proven and yet bad here: what served goes on serving, and one instance was tried.

The fleet's own check wants 200. podman's event log, read from outside, tells what ever existed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.live import LiveFleet
from tests.traffic import nobody_was_turned_away


@pytest.mark.parametrize("bad", ["ill_image", "silent_image"])
def test_a_bad_image_costs_one_instance_and_no_request(
    bad: str,
    new_fleet: Callable[..., LiveFleet],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    image = request.getfixturevalue(bad)
    fleet = new_fleet(size=3)
    fleet.rollout()
    good = set(fleet.containers())
    since = datetime.now(UTC)

    with fleet.sampler() as sampler, fleet.traffic() as traffic:
        failed = fleet.rollout("--image", image, code=1)
        tried = set(fleet.containers()) - good
        status = fleet.status()

        begun = time.monotonic()
        again = fleet.rollout("--image", image, code=1)
        at_once = time.monotonic() - begun
        still = set(fleet.containers())
        one_more = fleet.rollout("--image", image, "--retry", code=1)
        tried_again = set(fleet.containers()) - good
    results = traffic.results()

    lowest = sampler.lowest()
    told = f"{results}, never fewer than {lowest} serving, refused again in {at_once:.1f} s"
    record_property("measured", told)
    print(f"{bad}: {told}")
    assert f"{image} does not become healthy" in failed.stderr
    assert "│" in failed.stderr, "no line of its console is shown"
    assert len(tried) == 1
    assert [i["health"] for i in status["instances"] if i["image"] == "web/1"] == ["serving"] * 3
    assert [i["health"] for i in status["instances"] if i["image"] == image] == ["failed"]
    assert any(f"to {image}" in remark and "failed" in remark for remark in status["remarks"])
    assert "Nothing was launched" in again.stderr
    assert at_once < 5
    assert still == good | tried
    assert "ended for another try" in one_more.stderr
    assert len(tried_again) == 1
    assert not tried & tried_again
    assert created(fleet, image, since=since) == tried | tried_again
    assert good <= set(fleet.containers())
    assert lowest >= 3
    nobody_was_turned_away(results, at_least=500)


def test_a_failed_rollout_is_taken_back_by_a_rollback(
    new_fleet: Callable[..., LiveFleet], ill_image: str
) -> None:
    fleet = new_fleet(size=2)
    fleet.rollout()
    good = set(fleet.containers())
    fleet.rollout("--image", ill_image, code=1)

    fleet.command("rollback", "--yes")
    refused = fleet.rollout("--image", ill_image, code=3)

    assert set(fleet.containers()) == good
    assert fleet.serving() == ["web/1", "web/1"]
    assert f"was rolled back from {ill_image}" in refused.stderr


def created(fleet: LiveFleet, image: str, *, since: datetime) -> set[str]:
    """Name every container of a fleet and an image that podman has made since then."""
    told = fleet.project.podman(
        *("events", f"--since={since.timestamp():.0f}", "--stream=false", "--format=json"),
        *("--filter=event=create", f"--filter=label=ovenbird.fleet={fleet.name}"),
    )
    events = [json.loads(line) for line in told.splitlines()]
    mine = [e for e in events if e["Attributes"]["ovenbird.version"] == image]
    return {event["Name"] for event in mine}
