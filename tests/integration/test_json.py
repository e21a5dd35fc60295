"""What ``--json`` promises to programs: one document on stdout, of a shape that stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.live import LiveFleet
from tests.project import Project

FLEET = {"name", "env", "provider", "image", "size", "file_size", "instances", "unowned"}
INSTANCE = {
    *("id", "image", "health", "address", "launched_at", "behind", "image_state", "packages_at"),
    *("kept_until", "quarantined_until", "unwanted", "job", "unowned"),
}
IMAGE = {
    *("ref", "family", "version", "fingerprint", "state", "channels"),
    *("parent", "artifacts", "baked_at"),
}
ROLLOUT = {"outcome", "from", "to", "waves"}


def test_a_rollout_tells_its_waves_and_status_its_instances(
    new_fleet: Callable[..., LiveFleet],
) -> None:
    fleet = new_fleet(size=2)

    planned = fleet.rollout_document("--plan")
    done = fleet.rollout_document()
    again = fleet.rollout_document()
    status = fleet.status()

    assert planned.keys() >= ROLLOUT
    assert (planned["outcome"], planned["to"]) == ("planned", "web/1")
    assert done.keys() >= ROLLOUT
    assert (done["outcome"], done["from"], done["to"]) == ("done", None, "web/1")
    assert every_step_says_why(done) == ["launch", "register", "launch", "register"]
    assert (again["outcome"], again["from"], again["waves"]) == ("done", "web/1", [])
    assert status.keys() >= FLEET
    assert (status["name"], status["env"]) == (fleet.name, "dev")
    assert (status["provider"], status["image"], status["size"]) == ("podman", "web/1", 2)
    launched = {s["instance"] for w in done["waves"] for s in w["steps"]}
    assert {i["id"] for i in status["instances"]} == launched == set(fleet.containers())
    for instance in status["instances"]:
        assert instance.keys() >= INSTANCE
        assert (instance["image"], instance["health"]) == ("web/1", "serving")
        assert instance["address"].startswith("127.0.0.1:")
        assert datetime.fromisoformat(instance["launched_at"]).tzinfo is not None


def test_a_failed_rollout_is_a_document_too(
    new_fleet: Callable[..., LiveFleet], ill_image: str
) -> None:
    fleet = new_fleet(size=1)

    done = fleet.rollout("--image", ill_image, "--json", code=1)
    told = json.loads(done.stdout)

    assert (told["outcome"], told["to"]) == ("failed", ill_image)
    assert every_step_says_why(told) == ["launch"]
    assert f"{ill_image} does not become healthy" in told["because"]
    assert "✗" in done.stderr


def test_the_list_of_images_holds_what_a_program_needs(
    oven_project: Project, second_image: str
) -> None:
    images = {i["ref"]: i for i in oven_project.document("image.list")["images"]}

    assert {"base/1", "web/1", second_image} <= images.keys()
    for image in images.values():
        assert image.keys() >= IMAGE
    one = images["web/1"]
    assert (one["family"], one["version"], one["parent"]) == ("web", 1, "base/1")
    assert (one["state"], one["channels"]) == ("active", ["stable"])
    assert [a["provider"] for a in one["artifacts"]] == ["podman"]
    assert one["fingerprint"] != images[second_image]["fingerprint"]
    assert datetime.fromisoformat(one["baked_at"]).tzinfo is not None


def every_step_says_why(rollout: Any) -> list[str]:
    """Return the verbs of all steps, after a look at what each says."""
    steps = [step for wave in rollout["waves"] for step in wave["steps"]]
    assert all(step["because"] and step["instance"] for step in steps), steps
    return [step["step"] for step in steps]
