"""Whole rollouts on real instances behind a real HAProxy, through the command line.

What is claimed is seen from outside: by clients that retry nothing, by an observer that asks
HAProxy and the servers themselves, and by podman.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.live import LiveFleet
from tests.project import Project, until
from tests.traffic import nobody_was_turned_away

ROLLOUTS = int(os.environ.get("OVENBIRD_TEST_ROLLOUTS", "4"))
"""How many rollouts in a row; ten of them take three minutes longer."""


def test_rollouts_in_a_row_turn_nobody_away(
    fleet: LiveFleet, second_image: str, record_property: Callable[[str, object], None]
) -> None:
    # With room for all three at once a rollout takes 16 s here, and 26 s one by one.
    fleet.declare(surge=3)
    fleet.rollout()
    fleet.rollout("--image", second_image)
    born = set(fleet.containers())

    with fleet.sampler() as sampler, fleet.traffic() as traffic:
        for number in range(ROLLOUTS):
            fleet.rollout("--image", "web/1" if number % 2 == 0 else second_image)
            assert len(fleet.containers()) == 3
            assert not born & set(fleet.containers())
            born |= set(fleet.containers())
    results, drains = traffic.results(), sampler.in_flight_at_drains()

    for name, said in {
        "traffic": str(results),
        "kinds": dict(results.by_kind),
        "samples": f"{len(sampler.samples)}, blind {sampler.blind()}",
        "serving": f"{sampler.lowest()}..{sampler.highest()}",
        "in flight at drains": sorted(drains.values()),
    }.items():
        record_property(name, str(said))
        print(f"{name}: {said}")
    nobody_was_turned_away(results, at_least=int(50 * results.seconds * 0.95))
    assert sampler.lowest() >= 3
    assert sampler.highest() <= 6
    assert len(drains) == 3 * ROLLOUTS
    assert min(drains.values()) >= 1, drains


def test_without_a_terminal_somebody_must_have_said_yes(fleet: LiveFleet) -> None:
    refused = fleet.project.run("rollout", fleet.name, code=2)

    assert "--yes" in refused.stderr
    assert fleet.containers() == {}


def test_a_plan_changes_nothing(new_fleet: Callable[..., LiveFleet], second_image: str) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    before, deeds = fleet.containers(), fleet.project.run("history", "--json").stdout

    told = fleet.rollout("--plan", "--image", second_image).stderr

    assert f"web/1 → {second_image}" in told
    assert "1 instance, surge 1" in told
    assert fleet.containers() == before
    assert fleet.project.run("history", "--json").stdout == deeds


def test_a_fleet_grows_and_shrinks_by_its_size(new_fleet: Callable[..., LiveFleet]) -> None:
    fleet = new_fleet(size=0)

    nobody = fleet.rollout_document()
    fleet.declare(size=1)
    fleet.rollout()
    one = set(fleet.containers())
    fleet.declare(size=3)
    fleet.rollout()
    three = set(fleet.containers())
    fleet.declare(size=1)
    with fleet.traffic() as traffic:
        until(lambda: traffic.results().served > 20)
        fleet.rollout()
    last = set(fleet.containers())
    fleet.declare(size=0)
    fleet.rollout()

    assert (nobody["outcome"], nobody["waves"]) == ("done", [])
    assert len(one) == 1
    assert one < three
    assert len(three) == 3
    assert len(last) == 1
    assert last < three
    assert not traffic.results().failed
    assert fleet.containers() == {}
    assert fleet.status()["instances"] == []


def test_a_rollback_pins_the_fleet_until_somebody_unpins_it(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    fleet.rollout("--image", second_image)

    fleet.command("rollback", "--yes", "--because", "its page was wrong")
    back, told = fleet.serving(), fleet.status()
    refused = fleet.rollout("--image", second_image, code=3)
    fleet.command("fleet.unpin", "--because", "it was not the page")
    fleet.rollout("--image", second_image)

    assert back == ["web/1"]
    assert told["pinned"] == [second_image]
    assert "its page was wrong" in refused.stderr
    assert "fleet.unpin" in refused.stderr
    assert fleet.serving() == [second_image]


def test_a_second_rollout_at_once_names_who_is_at_it(new_fleet: Callable[..., LiveFleet]) -> None:
    fleet = new_fleet(size=2)
    first = fleet.start_rollout()
    first.until("Launching")

    second = fleet.rollout(code=3)
    first.end()

    (deed,) = fleet.project.document("history", "--subject", fleet.name)["deeds"]
    assert deed["by"] in second.stderr
    assert fleet.serving() == ["web/1", "web/1"]


def test_instances_of_another_site_are_not_touched(new_fleet: Callable[..., LiveFleet]) -> None:
    fleet = new_fleet(size=1)
    stranger = f"dev-{fleet.name}-stranger"
    labels = {
        "site": "elsewhere",
        "env": "dev",
        "fleet": fleet.name,
        "version": "web/1",
        "launch": "none",
        "token": stranger,
        "slot": "0",
    }
    fleet.project.podman(
        *("create", "--name", stranger, "--pull=never"),
        *(f"--label=ovenbird.{key}={value}" for key, value in labels.items()),
        artifact_of(fleet.project, "web/1"),
    )

    refused = fleet.rollout(code=3)

    assert "another site (elsewhere" in refused.stderr
    assert set(fleet.containers()) == {stranger}


def test_a_revoked_image_launches_nowhere_and_no_channel_moves(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.project.run("image.promote", second_image, "candidate")
    fleet.declare(image="web@candidate")

    fleet.project.run("image.revoke", second_image, "--because", "CVE-2026-1")
    try:
        refused = fleet.rollout(code=3)
        pointed = fleet.project.document("image.show", "web@candidate")
    finally:
        fleet.project.run("image.restore", second_image, "--because", "the test is over")

    assert "CVE-2026-1" in refused.stderr
    assert (pointed["ref"], pointed["state"]) == (second_image, "revoked")
    assert fleet.containers() == {}


def artifact_of(project: Project, ref: str) -> str:
    """Return the engine's id of an image."""
    (artifact,) = project.document("image.show", ref)["artifacts"]
    return str(artifact["id"]).removeprefix("sha256:")
